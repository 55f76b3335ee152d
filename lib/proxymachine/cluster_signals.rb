# frozen_string_literal: true

class ProxyMachine
  # What a Cluster hears, one after the other: its traps only write down which signal it was.
  # @api private
  class ClusterSignals
    ALL = %w[QUIT TERM INT HUP USR1 USR2 CHLD].freeze
    # Those that end it.
    ENDING = %w[QUIT TERM INT].freeze
    private_constant :ALL, :ENDING

    def initialize
      @heard, @noted = IO.pipe
    end

    # Installs the traps.
    # @yield in the trap, for one that ends the cluster: what it is doing may have to be broken off
    def install_traps
      ALL.each do |signal|
        Signals.on(signal) do
          @noted.write_nonblock("#{signal}\n", exception: false)
          yield if ENDING.include?(signal)
        end
      end
    end

    # @param patience [Numeric, nil] seconds to wait for one; nil is for ever
    # @return [String, nil] its name; nil if there was none
    def next(patience)
      @heard.gets.chomp if @heard.wait_readable(patience)
    end
  end
end
