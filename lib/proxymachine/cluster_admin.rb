# frozen_string_literal: true

require "socket"
require "tmpdir"
require_relative "admin"

class ProxyMachine
  # The address of the setting +admin+ for a Cluster: a process of its own shows the sum of what the workers say. Each
  # worker has a socket for it in a directory that nobody else may enter.
  # @api private
  class ClusterAdmin
    # Seconds that its process may take to say what was counted.
    PATIENCE = 5
    private_constant :PATIENCE

    # @return [String, nil]
    attr_reader :address

    # @param engine [Engine] which is not to run
    # @param address [String, nil] none if that is nil
    # @param inherited [Array] what another process has bound: [[descriptor, address]]
    def initialize(engine, address, inherited)
      @engine = engine
      @address = address
      @admin = Admin.new(engine, address, inherited)
    end

    # @param name [String] what is shown as the server's name
    # @param privileges [Privileges] whom the file of a Unix socket will belong to
    # @return [String, nil] where it is
    # @raise [StartError] if the address cannot be listened on
    def bind(name, privileges)
      @admin.bind(name, privileges)
    end

    # Starts the process.
    # @param channels [Array<IO>] that are not its business
    # @param inheritance [Inheritance, nil] through which another cluster tells what it has counted
    # @raise [StartError] if the system does not allow it
    def start(channels = [], inheritance = nil)
      return unless missing?

      @directory ||= Dir.mktmpdir("proxymachine")
      ours, theirs = UNIXSocket.pair
      @pid = fork do
        [ours, *channels].each(&:close)
        serve(theirs, inheritance)
      end
      @channel = ours
    rescue SystemCallError => e
      ours&.close
      raise StartError, "cannot start the admin: #{e.message}"
    ensure
      theirs&.close
    end

    def missing?
      @address && !@pid
    end

    # Another cluster shows itself there from now on.
    def hide
      order("hide")
    end

    # @return [String, nil] what the workers have counted; nil if nobody looks
    def counts
      order("counts")
      @channel.gets&.chomp if @channel&.wait_readable(PATIENCE)
    rescue SystemCallError
      nil # The process has just ended.
    end

    # Where a worker shows itself; nil if nobody looks.
    # @return [String, nil]
    def address_of_worker
      @address && "unix:#{@directory}/#{Process.pid}"
    end

    # @return [Array] [[descriptor, address, port]]
    def sockets
      @admin.sockets
    end

    # Forgets the process if it has ended.
    def reap
      return unless @pid && Process.wait(@pid, Process::WNOHANG)

      @channel.close
      @channel = @pid = nil
    end

    # Ends it.
    def stop
      Process.kill(:KILL, @pid) && Process.wait(@pid) if @pid
      FileUtils.rm_rf(@directory) if @directory
    end

    private

    def order(word)
      @channel&.puts(word)
    rescue SystemCallError
      nil # The process has just ended, and will be started once more.
    end

    # Until the cluster has ended.
    def serve(orders, inheritance)
      Process.setpgrp
      %w[QUIT TERM INT HUP USR1 USR2].each { |signal| trap(signal, "IGNORE") }
      trap("CHLD", "DEFAULT")
      $0 = "proxymachine #{VERSION} - admin"
      @engine.gather(@directory)
      inheritance&.receive_counts { |_max, _total, counts| counts && @engine.carry_counts(counts) }
      while (word = orders.gets)
        word.chomp == "hide" ? @engine.hide : orders.puts(@engine.counts)
      end
    rescue SystemCallError
      nil # The cluster has just ended.
    rescue StandardError => e
      LOGGER.error "Cannot show the admin: #{e.message}"
    ensure
      exit!(0)
    end
  end
end
