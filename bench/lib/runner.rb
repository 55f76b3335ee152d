# frozen_string_literal: true

require "tmpdir"
require_relative "starter"

module Bench
  # Runs one work: in each round every contender once, in an order that turns.
  class Runner
    # Loaders and processors by whether a work is pinned.
    def initialize(loaders, processors, options, out: $stderr)
      @loaders = loaders
      @processors = processors
      @rounds = options.rounds
      @peers = options.peers
      @out = out
    end

    # An Array of rounds, each a Hash from label to figures.
    def run(work)
      contenders = work.contenders.select { |one| one.available? && (@peers.nil? || @peers.include?(one.peer)) }
      count = [@rounds, work.rounds].compact.min
      @out.print "#{work.name}: "
      Dir.mktmpdir("bench") do |directory|
        starter = Starter.new(work, @processors[work.pin], directory)
        Array.new(count) { |number| round(work, contenders.rotate(number), starter) }
      ensure
        starter&.stop
      end
    ensure
      @out.puts
    end

    private

    def complain(contender, figures)
      figures.slice(:errors, :slow).each do |name, count|
        @out.print "[#{contender.label}: #{count} #{name}]" unless count.zero?
      end
    end

    def round(work, contenders, starter)
      contenders.each_with_object({}) do |contender, figures|
        figures[contender.label] = one(work, contender, starter)
        @out.print "."
      rescue Loader::Failed, Trouble => e
        @out.print "[#{contender.label}: #{e.message}]"
      end
    end

    def one(work, contender, starter)
      return starter.time(contender) if work.mode == :start

      starter.with(contender) do |peer, setting|
        target = peer.pid.zero? ? setting.backend : setting.port
        load = work.load.merge(contender.load)
        figures = @loaders[work.pin].run(work.mode, target: target, backend: setting.backend, pid: peer.pid, **load)
        complain(contender, figures)
        figures
      end
    end
  end
end
