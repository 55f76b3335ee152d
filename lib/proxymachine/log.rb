# frozen_string_literal: true

require_relative "log/files"
require_relative "log/format"
require_relative "log/messages"
require_relative "log/writer"
require_relative "safe_inspect"

class ProxyMachine
  # Writing to LOGGER: lines about blocks, level and format, logs that stand still, and reopening files.
  # @api private
  module Log
    @writer = Writer.new

    class << self
      # @return [Writer] the writer of this process
      attr_reader :writer
    end

    # Writes a line to LOGGER. A logger that fails loses the line, and stops nothing else.
    # @param level [Symbol] +:info+, +:warn+ or +:error+
    # @param text [String]
    def self.line(level, text)
      writer.log([[level, SafeInspect.utf8(text)]])
    rescue StandardError, ScriptError
      nil
    end

    # @return [Float] seconds of a clock that only goes forward
    def self.now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
end
