# frozen_string_literal: true

# What clients notice when one of three servers fails: `ruby bench/servers.rb [RATE] [SECONDS]`, after `rake compile`.
#
# Clients come at RATE connections a second, 500 by default, for SECONDS, 16 by default. After a quarter of the time one
# server is killed (SIGKILL), or becomes a black hole: it answers no connect any more. Every second is a row of the
# table. HAProxy, if it is installed, has the same servers, checks and timeouts.

require "json"
require "socket"
require "tmpdir"
require_relative "lib/bench"

module Bench
  # Three servers, which are processes.
  class Servers
    attr_reader :ports

    def initialize(load_generator)
      @ports = Array.new(3) { Ports.free }
      @children = @ports.map { |port| Child.new(load_generator.command(:serve, backend: port)).ready(port) }
    end

    # The first server ends at once.
    def kill = @children.first.stop

    # The first server answers no more. Its port has a backlog that is full, so that the kernel drops each connect.
    def silence
      kill
      @hole = Socket.new(:INET, :STREAM)
      @hole.setsockopt(:SOCKET, :REUSEADDR, true)
      address = Addrinfo.tcp("127.0.0.1", @ports.first)
      @hole.bind(address)
      @hole.listen(0)
      @fillers = Array.new(4) do
        Socket.new(:INET, :STREAM).tap do |one|
          one.connect_nonblock(address, exception: false)
        end
      end
    end

    def stop
      @children.each(&:stop)
      [@hole, *@fillers].compact.each(&:close)
    end
  end

  # A proxy before the servers, under a steady load.
  class FailingServer
    CONFIG = <<~'RUBY'
      LOGGER.level = Logger::FATAL
      upstream :web, ENV.fetch("BENCH_SERVERS").split(","), check: 1, check_timeout: 1, connect_timeout: 1
      proxy { :web }
    RUBY
    HAPROXY = <<~TEXT
      global
        nbthread 1
      defaults
        mode tcp
        timeout connect 1s
        timeout check 1s
        timeout client 60s
        timeout server 60s
        retries 3
        option redispatch 1
      frontend front
        bind 127.0.0.1:%<port>d backlog 4096
        default_backend web
      backend web
        balance leastconn
    TEXT
    PEERS = %w[ours haproxy].freeze

    def initialize(peer, rate, seconds)
      @peer = peer
      @rate = rate
      @seconds = seconds
      @load_generator = LoadGenerator.new(CpuPinning.new(pin: false))
    end

    # @param failure [Symbol] of Servers
    # @return [Array<Hash>] a row for each second
    def run(failure)
      Dir.mktmpdir do |dir|
        servers = Servers.new(@load_generator)
        port = Ports.free
        proxy = start(dir, port, servers.ports)
        sleep 1.5 # The servers are checked meanwhile.
        load = IO.popen(@load_generator.command(:steady, target: port, rate: @rate, seconds: @seconds))
        sleep @seconds / 4.0
        servers.public_send(failure)
        load.read.lines.map { |line| JSON.parse(line, symbolize_names: true) }
      ensure
        [proxy, servers].compact.each(&:stop)
      end
    end

    private

    def start(dir, port, servers)
      file = File.join(dir, "config")
      addresses = servers.map { |server| "127.0.0.1:#{server}" }
      command = @peer == "ours" ? ours(file, port) : haproxy(file, port, addresses)
      Child.new(command, env: { "BENCH_SERVERS" => addresses.join(",") }, log: File.join(dir, "log")).ready(port)
    end

    def ours(file, port)
      File.write(file, CONFIG)
      [RbConfig.ruby, "-I#{ROOT}/lib", "#{ROOT}/exe/proxymachine", "-c", file, "-h", "127.0.0.1", "-p", port.to_s]
    end

    def haproxy(file, port, addresses)
      lines = addresses.map.with_index(1) { |address, number| "  server s#{number} #{address} check inter 1s fall 3" }
      File.write(file, [format(HAPROXY, port: port), *lines, ""].join("\n"))
      [*(PeersFolder.command("haproxy") || [Peer.executable("haproxy")]), "-db", "-f", file]
    end
  end

  # The tables.
  module FailingServers
    FAILURES = { kill: "one of three servers is killed", silence: "one of three servers becomes a black hole" }.freeze

    module_function

    def run(rate, seconds)
      LoadGenerator.new(CpuPinning.new(pin: false)).build
      FAILURES.each do |failure, title|
        FailingServer::PEERS.each do |peer|
          next puts("#{peer}: #{Peer.all[peer].missing}") if Peer.all[peer].missing

          puts "", "#{peer}: #{title} after #{seconds / 4} s, #{rate} connections a second", ""
          puts table(FailingServer.new(peer, rate, seconds).run(failure))
        end
      end
    end

    def table(rows)
      ["| second | begun | not served | p50 us | p99 us | max us |", "|---|---|---|---|---|---|"] + rows.map do |row|
        format("| %<second>d | %<begun>d | %<lost>d | %<p50_us>.0f | %<p99_us>.0f | %<max_us>.0f |",
               lost: row[:begun] - row[:served], **row)
      end
    end
  end
end

Bench::FailingServers.run(Integer(ARGV.fetch(0, 500)), Integer(ARGV.fetch(1, 16)))
