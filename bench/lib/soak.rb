# frozen_string_literal: true

require "etc"
require "tmpdir"
require_relative "bench"
require_relative "../../spec/support/installed_program"

module Bench
  # Mixed load with random faults against the real executable, and what must come of it: docs/testing.md.
  class Soak
    # Connections a second.
    RATE = 400
    # KiB that the process may grow once it is warm.
    GROWTH = 3 * 1024
    # Seconds of processor time in a quiet second.
    IDLE = 0.2
    # Short connections a second while it reloads and upgrades.
    STORM = 3000
    # Reloads before, and after, upgrades.
    RELOADS = 5
    # One while all kinds of connections are under way, two in the storm.
    UPGRADES = 3
    # Seconds of load before the drain.
    BEFORE_DRAIN = 2

    def initialize(seconds:, seed:, only: "", out: $stdout)
      @seconds = seconds
      @seed = seed
      @only = only
      @out = out
      @faults = []
      @stretches = Stretches.new
    end

    # Runs, prints, and tells whether all was well.
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
      @changes = Changes.new(@proxy)
      fresh = @proxy.quiet
      warm = stretch(@seconds / 4.0)
      hot = stretch(@seconds * 3 / 4.0)
      compare(fresh, warm, hot)
      change(@seconds / 4.0)
      storm(@seconds / 4.0)
      idle
      drain
      check_log
      @out.puts Table.new(@stretches, warm, hot, @log)
    rescue Trouble => e
      @faults << e.message
    ensure
      keep_log unless @faults.empty?
      @faults.each { |fault| @out.puts "FAULT: #{fault}" }
      @proxy&.stop
      @load&.stop
    end

    # Loads for about so long, waits until all is quiet, and looks.
    def stretch(seconds)
      note(@load.run(@proxy.port, @stretches.opened, (seconds * RATE).ceil, limit: limit(seconds)))
      @proxy.quiet
    end

    # All kinds of connections while the proxy reloads and upgrades.
    def change(seconds)
      count = (seconds * RATE).ceil
      note(@load.run(@proxy.port, @stretches.opened, count, limit: limit(seconds)) { @changes.upgrade(seconds / 2) })
      status = @proxy.status_before_upgrade(limit(0))
      check(status&.success?, "after USR2 the process before ended with #{status.inspect}")
    end

    # Thousands of short ones a second while it does, and another binary is installed.
    def storm(seconds)
      count = (seconds * STORM).ceil
      note(@load.storm(@proxy.port, @stretches.opened, count, STORM, limit: limit(seconds)) do
        @changes.update(seconds / 2)
      end)
      check(@proxy.binary.to_s.include?("/2.0.1/"), "after the update #{@proxy.binary} runs")
    end

    # A machine that has much else to do takes its time.
    def limit(seconds) = (20 * seconds) + 120

    def note(result) = @faults.concat((@stretches << result).failures)

    def compare(fresh, warm, hot)
      [warm, hot].each { |state| @faults.concat(state.left_open(fresh)) }
      # Those that were reset at once may have been so before they were accepted.
      range = @stretches.opened - @stretches.kinds["abrupt"]..@stretches.opened
      check(range.cover?(hot.total), "the title counts #{hot.total} connections of #{range}")
      growth = hot.memory - warm.memory
      check(growth < GROWTH, "memory grew by #{growth} KiB after the first quarter")
    end

    def idle
      @accepted = @proxy.quiet.total
      spent = @proxy.processor_time(1)
      check(spent < IDLE, "#{spent} s of processor time in a second without connections")
    end

    def drain
      note(@load.drain(@proxy.port, @stretches.opened, limit: limit(BEFORE_DRAIN)) do
        sleep BEFORE_DRAIN
        @proxy.signal("QUIT")
      end)
      check(@proxy.ended?(limit(0)), "after QUIT the process did not end")
    end

    def check_log
      @log = Log.new(@proxy.log)
      # Those that the drain turned away may have been accepted or not.
      drained = @stretches.last
      total = @log.counts[:accepted] - @accepted
      let_in = drained["opened"] - drained["turned_away"]
      check(total.between?(let_in, drained["opened"]), "the drain accepted #{total}, not #{let_in} or a few more")
      check(@log.counts[:waiting].positive?, "nothing was under way when the drain began")
      @faults.concat(@log.faults(@stretches.kinds, @log.counts[:accepted]))
    end

    def check(good, fault) = good || @faults << fault

    def keep_log
      kept = File.join(Dir.tmpdir, "soak-#{@seed}.log")
      FileUtils.cp(@proxy.log, kept) if @proxy
      @out.puts "The proxy's log is kept: #{kept}"
    end
  end
end

require_relative "soak/changes"
require_relative "soak/load"
require_relative "soak/proxy"
require_relative "soak/log"
require_relative "soak/stretches"
require_relative "soak/table"
