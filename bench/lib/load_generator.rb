# frozen_string_literal: true

require "json"

module Bench
  # The load generator with its backend: the crate bench/load.
  class LoadGenerator
    CRATE = File.join(ROOT, "bench/load")

    # A run has no result.
    class Failed < StandardError; end

    def initialize(processors)
      @processors = processors
    end

    def build
      manifest = File.join(CRATE, "Cargo.toml")
      programs = %w[load bare bare_splice].flat_map { |name| ["--bin", name] }
      return if system(*%w[cargo build --release --locked --quiet], *programs, "--manifest-path", manifest)

      raise Error, "bench/load does not build"
    end

    # Returns the words of a command for a mode.
    def command(mode, **arguments)
      words = arguments.flat_map { |name, value| ["--#{name.to_s.tr("_", "-")}", value.to_s] }
      [*@processors.load, File.join(CRATE, "target/release/load"), mode.to_s, *words]
    end

    # Runs a mode and returns its figures as a Hash.
    def run(mode, target:, backend:, pid:, limit: 150, **arguments)
      out = run_command(command(mode, **arguments, target: target, backend: backend, pid: pid), limit)
      JSON.parse(out.lines.last, symbolize_names: true)
    rescue JSON::ParserError
      raise Failed, out
    end

    private

    def run_command(command, limit)
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
