# frozen_string_literal: true

class ProxyMachine
  class Lifecycle
    # Values as lines of text, for the other process of an upgrade. JSON would do as well, but loading it takes 7 ms of
    # each start, and a config may want another version of that gem.
    # @api private
    module Message
      module_function

      # @param value [Object] of Ruby's own classes
      # @return [String] one line without its end
      def text(value) = [Marshal.dump(value)].pack("m0")

      # @param text [String] from {text} in the other process
      # @return [Object]
      def parse(text)
        Marshal.load(text.unpack1("m")) # rubocop:disable Security/MarshalLoad -- the other process is this program
      end
    end
  end
end
