# frozen_string_literal: true

require "json"
require "socket"
require_relative "program"

class ProxyMachine
  # Starts this program once more, with all its listening sockets, and waits until that one serves: nobody is refused
  # meanwhile. How the other process sees it is in Inheritance.
  # @api private
  class Upgrade
    # Why the new process does not serve.
    class Failed < StandardError; end

    # Seconds that the new process may take until it serves.
    PATIENCE = 60
    # Tells the new process what it inherits.
    VARIABLE = "PROXYMACHINE_INHERITANCE"

    # @param server [#sockets, #hand_over, #stats, #counts] see Server
    def initialize(server)
      @server = server
    end

    # @return [Integer] the new process's id; it serves
    # @raise [Failed] if there is none
    def run
      @channel, theirs = UNIXSocket.pair
      start(theirs)
      theirs.close # So that its end is the other process's end.
      pid = answer
      @server.hand_over
      count(@server)
      pid
    rescue SystemCallError => e
      raise Failed, e.message
    ensure
      theirs&.close
      @channel&.close unless pid
    end

    # Ends the new process, too: this one has been told to end. May be called from a trap.
    def cancel
      return if @is_served # Whoever is connected there is not ours any more.

      @is_cancelled = true
      @channel&.shutdown # Wakes who waits for an answer.
      give_up if @pid
    rescue SystemCallError, IOError
      nil # It is over already.
    end

    # Whether that was the reason.
    def cancelled? = @is_cancelled

    # Tells the new process what was counted until the end.
    # @param server [#stats, #counts]
    def ended(server)
      count(server)
      @channel.close
    end

    private

    def start(channel)
      sockets = @server.sockets.map { |fd, address,| [fd, address] }
      variables = { VARIABLE => JSON.generate({ channel: channel.fileno, sockets: sockets }) }
      inherited = [channel.fileno, *sockets.map(&:first)].to_h { |fd| [fd, fd] }
      options = { chdir: Program.directory, close_others: true }.merge(inherited)
      @pid = Process.spawn(variables, *Program.command, options)
      @ending = Process.detach(@pid)
    end

    # "started PID" if it goes on as another process, then "ready PID", "failed REASON", or nothing if it has died.
    def answer
      readable = @channel.wait_readable(PATIENCE)
      word, rest = readable && @channel.gets.to_s.chomp.split(" ", 2)
      if word == "ready" && !@is_cancelled
        @is_served = true
        return rest.to_i
      end
      if word == "started"
        @pid = rest.to_i
        @ending = nil # It is nobody's to wait for.
        return answer
      end
      give_up if !readable || @is_cancelled
      raise Failed, reason(readable, word, rest)
    end

    def give_up
      Process.kill(:TERM, @pid)
    rescue Errno::ESRCH
      nil # It has ended just now, or made itself a daemon.
    end

    def reason(readable, word, rest)
      return "the server is ending" if @is_cancelled
      return "the new process does not serve after #{PATIENCE} s" unless readable
      return rest if word == "failed"

      how = @ending && " (#{@ending.join(1)&.value || "it made itself a daemon"})"
      "the new process ended before it served#{how}"
    end

    # What was counted since the last time.
    def count(server)
      _, max, total = server.stats
      @channel.puts(JSON.generate([max, total - (@told || 0), server.counts]))
      @told = total
    rescue SystemCallError
      nil # It has ended already.
    end
  end
end
