# frozen_string_literal: true

require "tmpdir"
require_relative "peer_pool"

module Bench
  # Runs a workload: each round measures every candidate once, in rotating order.
  class Runner
    # Load generators and pinnings, by whether a workload is pinned.
    def initialize(load_generators, processors, options, out: $stderr)
      @load_generators = load_generators
      @processors = processors
      @rounds = options.rounds
      @peers = options.peers
      @out = out
    end

    # Returns an Array of rounds, each a Hash from label to figures.
    def run(workload)
      candidates = workload.candidates.select { |one| one.available? && (@peers.nil? || @peers.include?(one.peer)) }
      count = [@rounds, workload.rounds].compact.min
      @out.print "#{workload.name}: "
      Dir.mktmpdir("bench") do |directory|
        pool = PeerPool.new(workload, @processors[workload.pin], directory)
        Array.new(count) { |number| round(workload, candidates.rotate(number), pool) }
      ensure
        pool&.stop
      end
    ensure
      @out.puts
    end

    private

    def report_errors(candidate, figures)
      figures.slice(:errors, :slow).each do |name, count|
        @out.print "[#{candidate.label}: #{count} #{name}]" unless count.zero?
      end
    end

    def round(workload, candidates, pool)
      candidates.each_with_object({}) do |candidate, figures|
        figures[candidate.label] = one(workload, candidate, pool)
        @out.print "."
      rescue LoadGenerator::Failed, Error => e
        @out.print "[#{candidate.label}: #{e.message}]"
      end
    end

    def one(workload, candidate, pool)
      return pool.time(candidate) if workload.mode == :start

      pool.with(candidate) do |peer, setting|
        target = peer.pid.zero? ? setting.backend : setting.port
        load = workload.load.merge(candidate.load)
        load[:side_target] = setting.side_port if load.key?(:side_tls)
        figures = @load_generators[workload.pin].run(workload.mode, target: target, backend: setting.backend,
                                                                    pid: peer.pid, **load)
        report_errors(candidate, figures)
        figures
      end
    end
  end
end
