# frozen_string_literal: true

require "optparse"

module Bench
  # The command line of bench/run.
  class Options
    attr_reader :scale, :only, :peers, :json, :pin

    def self.parse(words)
      new.tap { |options| options.send(:parse, words.dup) }
    end

    def initialize
      @scale = :quick
      @pin = true
    end

    def rounds
      @rounds || (@scale == :full ? 9 : 3)
    end

    def wanted?(name)
      return true if only.nil?

      only.any? { |pattern| name == pattern || File.fnmatch?(pattern, name) || name.start_with?("#{pattern}-") }
    end

    # Whether --quick leaves a workload out. A name on the command line includes it.
    def excluded?(name)
      @scale == :quick && only.nil? && LONG_WORKLOADS.include?(name)
    end

    LONG_WORKLOADS = %w[short-4 short-1000 burst-memory idle-1000 decisions].freeze

    private

    def parse(words)
      rest = parser.parse!(words)
      raise Error, "what is #{rest.first}? See --help" unless rest.empty?
    rescue OptionParser::ParseError => e
      raise Error, "#{e.message}. See --help"
    end

    def parser
      OptionParser.new do |o|
        o.banner = "Usage: bench/run [options]"
        o.on("--quick", "about a minute, the nearest peers only (default)") { @scale = :quick }
        o.on("--full", "all workloads, all peers, long runs, nine rounds") { @scale = :full }
        o.on("--only NAMES", Array, "these workloads: names, beginnings (short) or patterns (bulk-*-8)") do |v|
          @only = v
        end
        o.on("--peers NAMES", Array, "these peers only: #{Peer.all.keys.join(", ")}") { |v| @peers = v }
        o.on("--rounds N", Integer, "how often each is measured") { |v| @rounds = v.clamp(1, 100) }
        o.on("--json FILE", "the single figures, for bench/compare") { |v| @json = v }
        o.on("--no-pin", "let the scheduler choose the processors") { @pin = false }
      end
    end
  end
end
