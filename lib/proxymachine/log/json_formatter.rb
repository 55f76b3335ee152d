# frozen_string_literal: true

class ProxyMachine
  module Log
    # Formats a Logger's lines as JSON, for `log_format :json`. The extension formats its lines likewise, with more
    # fields.
    # @api private
    class JsonFormatter
      def initialize
        require "json" # Not earlier: a config may choose the version of the gem.
      end

      # @return [String] a line
      def call(severity, time, _progname, message)
        text = message.is_a?(String) ? message : message.inspect
        moment = time.utc.strftime("%Y-%m-%dT%H:%M:%S.%6NZ")
        "#{JSON.generate({ time: moment, level: severity, pid: Process.pid, message: SafeInspect.utf8(text).scrub })}\n"
      end
    end
  end
end
