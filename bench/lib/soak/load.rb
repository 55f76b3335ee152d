# frozen_string_literal: true

require "json"

module Bench
  class Soak
    # The load and its backends: the binary `soak` of the crate in bench/load.
    class Load
      CRATE = File.join(ROOT, "bench/load")

      attr_reader :backends, :refusing

      def self.build
        manifest = File.join(CRATE, "Cargo.toml")
        return if system(*%w[cargo build --profile soak --bin soak --locked --quiet --manifest-path], manifest)

        raise Trouble, "bench/load does not build"
      end

      def initialize(seed:, rate:, only:)
        words = { seed: seed, rate: rate, only: only }.flat_map { |name, value| ["--#{name}", value.to_s] }
        @io = IO.popen([File.join(CRATE, "target/soak/soak"), *words], "r+")
        *@backends, @refusing = answer(10).split.map(&:to_i)
      end

      # Plays `count` connections from the number `first` on, while the block runs; returns what came of them.
      def run(port, first, count, limit:)
        @io.puts("run #{port} #{first} #{count}")
        yield if block_given?
        JSON.parse(answer(limit))
      end

      # Plays short ones, so many a second if the machine can.
      def storm(port, first, count, rate, limit:)
        @io.puts("storm #{port} #{first} #{count} #{rate}")
        yield
        JSON.parse(answer(limit))
      end

      # Plays connections that must lose nothing, while the block runs and until the proxy lets nobody in any more.
      def drain(port, first, limit:)
        @io.puts("drain #{port} #{first}")
        yield
        JSON.parse(answer(limit))
      end

      def stop
        Process.kill("KILL", @io.pid)
      rescue Errno::ESRCH
        nil
      ensure
        @io.close
      end

      private

      def answer(limit)
        raise Trouble, "the load says nothing for #{limit} s" unless @io.wait_readable(limit)

        @io.gets || raise(Trouble, "the load has ended")
      end
    end
  end
end
