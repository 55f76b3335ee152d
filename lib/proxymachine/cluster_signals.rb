# frozen_string_literal: true

class ProxyMachine
  # What a Cluster hears, one after the other: its traps only write down which signal it was.
  # @api private
  class ClusterSignals
    ALL = %w[QUIT TERM INT HUP USR1 USR2 CHLD].freeze
    private_constant :ALL

    def initialize
      @heard, @noted = IO.pipe
    end

    # Installs the traps.
    def hear
      ALL.each { |signal| trap(signal) { @noted.write_nonblock("#{signal}\n", exception: false) } }
    end

    # @param patience [Numeric, nil] seconds to wait for one; nil is for ever
    # @return [String, nil] its name; nil if there was none
    def next(patience)
      @heard.gets.chomp if @heard.wait_readable(patience)
    end
  end
end
