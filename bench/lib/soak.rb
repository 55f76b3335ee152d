# frozen_string_literal: true

require "etc"
require "tmpdir"
require_relative "bench"
require_relative "../../spec/support/installed_program"

module Bench
  # Mixed load with random faults against the real executable, and checks of the outcome: docs/testing.md.
  class Soak
    # Connections per second.
    RATE = 400
    # Seconds of the warm-up at least: until then the heap of Ruby 3.4 grows.
    WARM_UP = 15.0
    # The memory growth allowed after the warm-up, in KiB.
    GROWTH = 3 * 1024
    # The processor time allowed in an idle second.
    IDLE = 0.2
    # Short connections per second during reloads and upgrades.
    STORM = 3000
    # Reloads before and after an upgrade.
    RELOADS = 5
    # One during mixed load, two during the storm.
    UPGRADES = 3
    # Seconds of load before the drain.
    BEFORE_DRAIN = 2

    def initialize(seconds:, seed:, only: "", out: $stdout)
      @seconds = seconds
      @seed = seed
      @only = only
      @out = out
      @faults = []
      @phases = Phases.new
    end

    # Runs, prints the results, and returns whether no fault was found.
    def run
      Load.build
      @out.puts "soak: #{@seconds} s, seed #{@seed}#{" (only #{@only})" unless @only.empty?}"
      Dir.mktmpdir("soak") { |directory| run_in(directory) }
      @faults.empty?
    end

    private

    def run_in(directory)
      @load = Load.new(seed: @seed, rate: RATE, only: @only)
      @proxy = Proxy.new(directory, @load)
      @live_changes = LiveChanges.new(@proxy)
      fresh = @proxy.quiet
      warm = run_phase([@seconds / 4.0, WARM_UP].max)
      hot = run_phase(@seconds * 3 / 4.0)
      compare(fresh, warm, hot)
      change(@seconds / 4.0)
      storm(@seconds / 4.0)
      idle
      drain
      check_log
      @out.puts Summary.new(@phases, warm, hot, @log)
    rescue Error => e
      @faults << e.message
    ensure
      keep_log unless @faults.empty?
      @faults.each { |fault| @out.puts "FAULT: #{fault}" }
      @proxy&.stop
      @load&.stop
    end

    # Runs load for about this time, waits until no connection is left, and returns the state.
    def run_phase(seconds)
      note(@load.run(@proxy.port, @phases.opened, (seconds * RATE).ceil, limit: limit(seconds)))
      @proxy.quiet
    end

    # Mixed load while the proxy reloads and upgrades.
    def change(seconds)
      count = (seconds * RATE).ceil
      note(@load.run(@proxy.port, @phases.opened, count, limit: limit(seconds)) { @live_changes.upgrade(seconds / 2) })
      status = @proxy.status_before_upgrade(limit(0))
      check(status&.success?, "after USR2 the process before ended with #{status.inspect}")
    end

    # Thousands of short connections per second while the proxy reloads, upgrades, and changes to another binary.
    def storm(seconds)
      count = (seconds * STORM).ceil
      note(@load.storm(@proxy.port, @phases.opened, count, STORM, limit: limit(seconds)) do
        @live_changes.update(seconds / 2)
      end)
      check(@proxy.binary.to_s.include?("/2.0.1/"), "after the update #{@proxy.binary} runs")
    end

    # Far more than needed, for a busy machine.
    def limit(seconds) = (20 * seconds) + 120

    def note(result) = @faults.concat((@phases << result).failures)

    def compare(fresh, warm, hot)
      [warm, hot].each { |state| @faults.concat(state.left_open(fresh)) }
      # Connections that were reset at once may never have been accepted.
      range = @phases.opened - @phases.kinds["abrupt"]..@phases.opened
      check(range.cover?(hot.total), "the title counts #{hot.total} connections of #{range}")
      growth = hot.memory - warm.memory
      check(growth < GROWTH, "memory grew by #{growth} KiB after the warm-up")
    end

    def idle
      @accepted = @proxy.quiet.total
      spent = @proxy.processor_time(1)
      check(spent < IDLE, "#{spent} s of processor time in a second without connections")
    end

    def drain
      note(@load.drain(@proxy.port, @phases.opened, limit: limit(BEFORE_DRAIN)) do
        sleep BEFORE_DRAIN
        @proxy.signal("QUIT")
      end)
      check(@proxy.ended?(limit(0)), "after QUIT the process did not end")
    end

    def check_log
      @log = Log.new(@proxy.log)
      # Connections that the drain turned away may have been accepted or not.
      drained = @phases.last
      total = @log.counts[:accepted] - @accepted
      let_in = drained["opened"] - drained["turned_away"]
      check(total.between?(let_in, drained["opened"]), "the drain accepted #{total}, not at least #{let_in}")
      check(@log.counts[:waiting].positive?, "nothing was under way when the drain began")
      @faults.concat(@log.faults(@phases.kinds, @log.counts[:accepted]))
    end

    def check(good, fault) = good || @faults << fault

    def keep_log
      kept = File.join(Dir.tmpdir, "soak-#{@seed}.log")
      FileUtils.cp(@proxy.log, kept) if @proxy
      @out.puts "The proxy's log is kept: #{kept}"
    end
  end
end

require_relative "soak/live_changes"
require_relative "soak/load"
require_relative "soak/proxy"
require_relative "soak/log"
require_relative "soak/phases"
require_relative "soak/summary"
