# frozen_string_literal: true

require "optparse"
require "tmpdir"
require_relative "kernel_memory"
require_relative "crowd/generators"
require_relative "crowd/measurement"
require_relative "crowd/process_tree"
require_relative "crowd/proxies"

module Bench
  # Many connections at once, in as many processes as the limit of descriptors requires.
  class Crowd
    # Descriptors that a process has beside those of its connections.
    RESERVE = 400
    # A single process has the log level of the config, and would not log the end of a reload.
    FEWEST_WORKERS = 2
    # Limit of the time for one peer.
    LIMIT = 900

    def self.from(words)
      options = { count: 100_000, peers: %w[direct ours haproxy] }
      parser = OptionParser.new do |o|
        o.banner = "Usage: bench/crowd [options]"
        o.on("--connections N", Integer, "default: 100000") { |v| options[:count] = v }
        o.on("--workers N", Integer, "of the proxy, two at least; default: as the descriptors require") do |v|
          options[:workers] = v
        end
        o.on("--peers NAMES", Array, "default: direct,ours,haproxy") { |v| options[:peers] = v }
      end
      parser.parse!(words)
      new(**options)
    rescue OptionParser::ParseError => e
      raise Error, e.message
    end

    def initialize(count:, peers:, workers: nil)
      @count = count
      @peers = peers.select { |name| Peer.all.fetch(name) { raise Error, "no peer #{name}" }.missing.nil? }
      raise_descriptor_limit
      @per_process = (Process.getrlimit(:NOFILE).first - RESERVE) / 2
      # A twentieth more, since the kernel does not spread the connections evenly.
      @workers = [workers || (count * 1.05 / @per_process).ceil, FEWEST_WORKERS].max
      @processors = CpuPinning.new
      @load_generator = LoadGenerator.new(@processors)
    end

    # Yields the parts of a Markdown report.
    def run
      @load_generator.build
      yield Report.new(Machine.facts(@processors), {}, {}).to_s
      columns = @peers.to_h { |name| [name, Timeout.timeout(LIMIT) { measure(name) }] }
      subtract_kernel_memory(columns)
      yield "\n| #{@count} connections | #{columns.keys.join(" | ")} |\n| --- #{"| --- " * columns.size}|"
      columns.values.flat_map(&:keys).uniq.each do |row|
        yield "| #{row} | #{columns.values.map { |column| column.fetch(row, "") }.join(" | ")} |"
      end
    end

    private

    # One process is simpler than several, but only few users may raise their limit.
    def raise_descriptor_limit
      hard = Process.getrlimit(:NOFILE).last
      wanted = [(@count * 2.1).ceil + RESERVE, hard].max
      Process.setrlimit(:NOFILE, wanted, wanted)
    rescue Errno::EPERM, Errno::EINVAL
      Process.setrlimit(:NOFILE, hard, hard)
    end

    def measure(name)
      Dir.mktmpdir("bench") do |directory|
        setting = Peer::Setting.new(config: "crowd", backend: Ports.free, port: Ports.free, directory: directory)
        proxy = Proxies.start(name, setting, @processors.proxy, @workers)
        generators = Generators.new(@load_generator, setting, @count, @per_process, direct: proxy.nil?)
        Measurement.new(name, proxy, generators, @count).rows
      ensure
        generators&.stop
        proxy&.stop
      end
    end

    # Without a proxy there are two sockets, with one there are four.
    def subtract_kernel_memory(columns)
      row = Measurement::KERNEL
      direct = columns.dig("direct", row) or return
      columns.except("direct").each_value { |column| column["#{row}, the proxy's two"] = column[row] - direct }
    end
  end
end
