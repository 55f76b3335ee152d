# frozen_string_literal: true

require "optparse"
require "tmpdir"
require_relative "counters"

module Bench
  # Counts system calls or instructions per connection and message. Counts do not depend on other load of the machine.
  class EventCounts
    WORKS = [
      ["short connection, 32 clients", "short", :short, { clients: 32, warmup: 0 }],
      ["short connection, 256 clients", "short", :short, { clients: 256, warmup: 0 }],
      ["short connection, upstream of 8, 256 clients", "upstream", :short,
       { clients: 256, warmup: 0, everywhere: true }, "upstream"],
      ["64 B message, 1 connection", "message", :message, { clients: 1, warmup: 0 }],
      ["64 B message, 64 connections", "message", :message, { clients: 64, warmup: 0 }]
    ].freeze

    def self.from(words)
      options = { seconds: 2.0, peers: %w[ours haproxy] }
      parser = OptionParser.new do |o|
        o.banner = "Usage: bench/syscalls [options]"
        o.on("--with TOOL", Counters.all.keys,
             "#{Counters.all.keys.join(", ")} (default: the first that works)") do |v|
          options[:tool] = v
        end
        o.on("--peers NAMES", Array, "default: ours,haproxy") { |v| options[:peers] = v }
        o.on("--only NAMES", Array, "short, upstream, message") { |v| options[:only] = v }
        o.on("--seconds N", Float, "length of each run") { |v| options[:seconds] = v }
      end
      parser.parse!(words)
      new(**options)
    rescue OptionParser::ParseError => e
      raise Error, e.message
    end

    def initialize(seconds:, peers:, tool: nil, only: nil)
      @seconds = seconds
      @tool = Counters.find(tool)
      @peers = peers.select { |name| Peer.all.fetch(name) { raise Error, "no peer #{name}" }.missing.nil? }
      @workloads = WORKS.select { |_, kind,| only.nil? || only.include?(kind) }
      @processors = CpuPinning.new
      @load_generator = LoadGenerator.new(@processors)
    end

    # Yields one Markdown table per workload.
    def each
      @load_generator.build
      @workloads.each do |title, _, mode, load, config|
        counts = @peers.to_h { |name| [name, count(name, mode, load, config || "route")] }
        yield table(title, counts)
      end
    end

    private

    # Returns the events per unit, by name.
    def count(name, mode, load, config)
      Dir.mktmpdir("bench") do |directory|
        setting = Peer::Setting.new(config: config, backend: Ports.free, port: Ports.free, directory: directory)
        peer = Peer.all.fetch(name).start(setting, [*@processors.proxy, *@tool.prefix(directory)])
        measure(peer, setting, mode, load)
      ensure
        peer&.stop
      end
    end

    def measure(peer, setting, mode, load)
      ports = { target: setting.port, backend: setting.backend, pid: peer.pid }
      # A first run does everything that happens only once.
      @load_generator.run(mode, seconds: 0.3, **ports, **load)
      units = nil
      events = @tool.count(peer.pid, setting.directory) do
        units = @load_generator.run(mode, seconds: @seconds, **ports, **load).fetch(:units)
      end
      events.transform_values { |number| number / units.to_f }
    end

    def table(title, counts)
      rows = rows_of(counts)
      rows << ["**all**", *counts.values.map { |events| events.values.sum }] if rows.size > 1
      [[title, *counts.keys], ["---"] * (counts.size + 1), *rows].map { |row| line(row) }.join("\n")
    end

    # The most frequent first, without rare events.
    def rows_of(counts)
      names = counts.values.flat_map(&:keys).uniq
      rows = names.map { |name| [name, *counts.values.map { |events| events.fetch(name, 0) }] }
      rows.reject { |_, *numbers| numbers.max < 0.005 }.sort_by { |_, *numbers| -numbers.sum }
    end

    def line(row)
      "| #{row.map { |cell| form(cell) }.join(" | ")} |"
    end

    def form(cell)
      return cell if cell.is_a?(String)

      cell > 1000 ? cell.round.to_s : format("%.2f", cell)
    end
  end
end
