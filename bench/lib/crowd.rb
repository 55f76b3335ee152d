# frozen_string_literal: true

require "optparse"
require "tmpdir"

module Bench
  # A process that takes steps on its standard input, and reports each in a line of JSON.
  class Steps
    def initialize(command)
      @command = command
      @io = IO.popen(command, "r+")
    end

    def run(step, limit: 600)
      @io.puts(step)
      line = Timeout.timeout(limit) { @io.gets }
      raise Error, "#{step}: the load generator has ended" unless line

      JSON.parse(line, symbolize_names: true)
    end

    def finish
      @io.close
    end
  end

  # Many connections at once: the memory of the proxy and of the kernel, the time to open, wake-ups while nothing moves,
  # the latency of those that talk, and, for this tree, a reload and an upgrade with all of them there.
  class Crowd
    # Talkers send this long, and nothing moves for as long.
    SECONDS = 10
    # Descriptors of a process for each connection, and in reserve.
    DESCRIPTORS = [2, 1000].freeze

    def self.from(words)
      options = { count: 100_000, peers: %w[ours haproxy] }
      parser = OptionParser.new do |o|
        o.banner = "Usage: bench/crowd [options]   (root, for the limit of descriptors)"
        o.on("--connections N", Integer, "default: 100000") { |v| options[:count] = v }
        o.on("--peers NAMES", Array, "default: ours,haproxy") { |v| options[:peers] = v }
      end
      parser.parse!(words)
      new(**options)
    rescue OptionParser::ParseError => e
      raise Error, e.message
    end

    def initialize(count:, peers:)
      @count = count
      @peers = peers.select { |name| Peer.all.fetch(name) { raise Error, "no peer #{name}" }.missing.nil? }
      @processors = CpuPinning.new
      @load_generator = LoadGenerator.new(@processors)
    end

    # Yields the lines of a Markdown table.
    def run
      raise_descriptor_limit
      @load_generator.build
      columns = @peers.map { |name| measure(name) }
      yield "| #{@count} connections | #{@peers.join(" | ")} |"
      yield "| --- #{"| --- " * @peers.size}|"
      columns.first.each_key do |row|
        yield "| #{row} | #{columns.map { |column| column.fetch(row, "") }.join(" | ")} |"
      end
    end

    private

    def raise_descriptor_limit
      wanted = (@count * DESCRIPTORS.first) + DESCRIPTORS.last
      hard = Process.getrlimit(:NOFILE).last
      Process.setrlimit(:NOFILE, wanted, [wanted, hard].max)
    rescue Errno::EPERM, Errno::EINVAL
      raise Error, "#{wanted} descriptors are needed: run as root, and see fs.nr_open"
    end

    def measure(name)
      Dir.mktmpdir("bench") do |directory|
        setting = Peer::Setting.new(config: "crowd", backend: Ports.free, port: Ports.free, directory: directory)
        peer = Peer.all.fetch(name).start(setting, @processors.proxy)
        steps = Steps.new(@load_generator.command("crowd", target: setting.port, backend: setting.backend,
                                                           pid: peer.pid))
        figures(steps).merge(name == "ours" ? changes(steps, peer, setting) : {})
      ensure
        steps&.finish
        peer&.stop
      end
    end

    def figures(steps)
      steps.run("open 100")
      few = steps.run("talk #{SECONDS}")
      before = Machine.kernel_memory
      opened = steps.run("open #{@count}")
      kernel = Machine.kernel_memory - before
      idle = steps.run("idle #{SECONDS}")
      many = steps.run("talk #{SECONDS}")
      { "opened per second" => opened[:rate].round, "CPU us to open one" => opened[:cpu_us].round(1),
        "process, bytes each" => opened[:bytes_each],
        "kernel, bytes each, both ends of both connections" => (kernel / (@count - 100.0)).round,
        "wake-ups per second while idle" => idle[:wakeups_per_s], "CPU us per second while idle" => idle[:cpu_us_per_s],
        "1,000 messages per second, p99 us: 100 connections" => few[:p99_us],
        "1,000 messages per second, p99 us: all connections, one in a hundred talks" => many[:p99_us],
        "messages late, errors" => "#{many[:late]}, #{many[:errors]}" }
    end

    # A reload and an upgrade with all connections there, and the end of the old process when they leave.
    def changes(steps, peer, setting)
      log = File.join(setting.directory, "#{setting.port}.log")
      loads = -> { File.read(log).scan("config loaded").size }
      figures = { "seconds to reload" => seconds_until(loads, 2) { Process.kill("HUP", peer.pid) },
                  "seconds until the upgraded process has loaded" =>
                    seconds_until(loads, 3) { Process.kill("USR2", peer.pid) } }
      after = steps.run("talk 2")
      figures["errors after both"] = after[:errors]
      ended = -> { peer.wait(0) ? 1 : 0 }
      figures["seconds until all have left and the old process has ended"] =
        seconds_until(ended, 1) { steps.run("close") }
      figures
    ensure
      successors(peer.pid).each { |pid| Process.kill("KILL", pid) }
    end

    # The processes that an upgrade started.
    def successors(pid)
      File.read("/proc/#{pid}/task/#{pid}/children").split.map(&:to_i)
    rescue SystemCallError
      []
    end

    # Calls the block, and returns the time until `count` has become `wanted`.
    def seconds_until(count, wanted, limit: 60)
      started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      yield
      until count.call >= wanted
        taken = Process.clock_gettime(Process::CLOCK_MONOTONIC) - started
        raise Error, "not done after #{limit} s" if taken > limit

        sleep 0.05
      end
      (Process.clock_gettime(Process::CLOCK_MONOTONIC) - started).round(2)
    end
  end
end
