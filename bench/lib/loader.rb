# frozen_string_literal: true

require "json"

module Bench
  # The load generator and backend: the crate in bench/load.
  class Loader
    CRATE = File.join(ROOT, "bench/load")

    # The run did not come to a figure.
    class Failed < StandardError; end

    def initialize(processors)
      @processors = processors
    end

    def build
      manifest = File.join(CRATE, "Cargo.toml")
      return if system(*%w[cargo build --release --bin load --bin bare --locked --quiet --manifest-path], manifest)

      raise Trouble, "bench/load does not build"
    end

    # One run; its figures as a Hash.
    def run(mode, target:, backend:, pid:, limit: 150, **arguments)
      words = arguments.merge(target: target, backend: backend, pid: pid).flat_map do |name, value|
        ["--#{name.to_s.tr("_", "-")}", value.to_s]
      end
      out = capture([*@processors.load, File.join(CRATE, "target/release/load"), mode.to_s, *words], limit)
      JSON.parse(out.lines.last, symbolize_names: true)
    rescue JSON::ParserError
      raise Failed, out
    end

    private

    def capture(command, limit)
      io = IO.popen(command, err: %i[child out])
      out = Timeout.timeout(limit) { io.read }
      io.close
      raise Failed, out.strip unless Process.last_status.success?

      out
    rescue Timeout::Error
      raise Failed, "no end after #{limit} s"
    ensure
      finish(io) unless io.nil? || io.closed?
    end

    def finish(io)
      Process.kill("KILL", io.pid)
      io.close
    end
  end
end
