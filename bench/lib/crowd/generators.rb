# frozen_string_literal: true

module Bench
  class Crowd
    # A process that takes steps on its standard input, and reports each in a line of JSON.
    class Steps
      # Limit of one step.
      LIMIT = 300

      def initialize(command)
        @io = IO.popen(command, "r+")
      end

      def run(step)
        order(step)
        report(step)
      end

      def order(step)
        @io.puts(step)
      end

      def report(step)
        line = Timeout.timeout(LIMIT) { @io.gets }
        raise Error, "#{step}: a load generator has ended" unless line

        JSON.parse(line, symbolize_names: true)
      end

      def stop
        Process.kill("KILL", @io.pid)
        @io.close
      end
    end

    # The load generators: one whose clients talk, and others whose clients are quiet. At most one of them is busy.
    class Generators
      # One connection in so many talks.
      TALKER = 100
      # How long all took to open, and the number of connections at half time with what the block returned then.
      Opened = Struct.new(:seconds, :half, :at_half, keyword_init: true)

      def initialize(load_generator, setting, count, per_process, direct:)
        talkers = (count / TALKER).clamp(TALKER, per_process)
        quiet = count - talkers
        # Two at least, since the first half is measured, too.
        needed = [(quiet.to_f / per_process).ceil, 2].max
        @shares = Array.new(needed) { |index| (quiet * (index + 1) / needed) - (quiet * index / needed) }
        @talkers = talkers
        start = lambda do |number|
          Steps.new(load_generator.command("crowd", number: number, direct: direct, target: setting.port,
                                                    backend: setting.backend))
        end
        @talking = start.call(1)
        @quiet = Array.new(needed) { |index| start.call(index + 2) }
      end

      # The latency of a hundred connections alone.
      def talk_few(seconds)
        @talking.run("open #{TALKER}")
        talk(seconds)
      end

      # Opens all connections, those that talk among the others. Yields when half of them are open.
      # @return [Opened]
      def open
        opened = Opened.new(seconds: 0, half: 0)
        @quiet.each_with_index do |generator, index|
          talkers = [@talkers * (index + 1) / @quiet.size, TALKER].max
          steps = [[generator, "open #{@shares[index]}"], [@talking, "open #{talkers}"]]
          opened.seconds += steps.sum { |process, step| process.run(step)[:seconds] }
          next unless index + 1 == @quiet.size / 2

          opened.half = @shares.first(index + 1).sum + talkers
          opened.at_half = yield if block_given?
        end
        opened
      end

      def talk(seconds)
        @talking.run("talk #{seconds}")
      end

      # Closes all connections at once, and waits until the backends have seen their ends.
      def close
        all.each { |process| process.order("close") }.each { |process| process.report("close") }
      end

      def stop
        all.each(&:stop)
      end

      private

      def all = [@talking, *@quiet]
    end
  end
end
