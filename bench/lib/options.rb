# frozen_string_literal: true

require "optparse"

module Bench
  # What bench/run was asked for.
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

    # Works that --quick leaves out unless they are asked for by name.
    def brief?(name)
      @scale == :quick && only.nil? && Options::LONG.include?(name)
    end

    LONG = %w[short-4 short-1000 burst-memory idle-1000 decisions].freeze

    private

    def parse(words)
      rest = parser.parse!(words)
      raise Trouble, "what is #{rest.first}? See --help" unless rest.empty?
    rescue OptionParser::ParseError => e
      raise Trouble, "#{e.message}. See --help"
    end

    def parser
      OptionParser.new do |o|
        o.banner = "Usage: bench/run [options]"
        o.on("--quick", "about a minute, the nearest peers only (default)") { @scale = :quick }
        o.on("--full", "all works, all peers, long runs, nine rounds") { @scale = :full }
        o.on("--only NAMES", Array, "these works: names, beginnings (short) or patterns (bulk-*-8)") { |v| @only = v }
        o.on("--peers NAMES", Array, "these peers only: #{Peer.all.keys.join(", ")}") { |v| @peers = v }
        o.on("--rounds N", Integer, "how often each is measured") { |v| @rounds = v.clamp(1, 100) }
        o.on("--json FILE", "the single figures, for bench/compare") { |v| @json = v }
        o.on("--no-pin", "let the scheduler choose the processors") { @pin = false }
      end
    end
  end
end
