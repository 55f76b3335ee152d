# frozen_string_literal: true

require "json"

module Bench
  class Soak
    # The load and its backends: the binary `soak` of the crate bench/load.
    class Load
      CRATE = File.join(ROOT, "bench/load")

      attr_reader :backends, :refusing

      def self.build
        manifest = File.join(CRATE, "Cargo.toml")
        return if system(*%w[cargo build --profile soak --bin soak --locked --quiet --manifest-path], manifest)

        raise Error, "bench/load does not build"
      end

      def initialize(seed:, rate:, only:)
        words = { seed: seed, rate: rate, only: only }.flat_map { |name, value| ["--#{name}", value.to_s] }
        @io = IO.popen([File.join(CRATE, "target/soak/soak"), *words], "r+")
        *@backends, @refusing = answer(10).split.map(&:to_i)
      end

      # Runs `count` connections, numbered from `first`, while the block runs. Returns their outcomes.
      def run(port, first, count, limit:)
        @io.puts("run #{port} #{first} #{count}")
        yield if block_given?
        JSON.parse(answer(limit))
      end

      # Runs short connections at this rate, or as many as the machine can.
      def storm(port, first, count, rate, limit:)
        @io.puts("storm #{port} #{first} #{count} #{rate}")
        yield
        JSON.parse(answer(limit))
      end

      # Runs lossless connections while the block runs and until the proxy accepts no more.
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
        raise Error, "no report from the load for #{limit} s" unless @io.wait_readable(limit)

        @io.gets || raise(Error, "the load has ended")
      end
    end
  end
end
