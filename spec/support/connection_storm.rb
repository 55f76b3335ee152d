# frozen_string_literal: true

require "json"

# Thousands of short connections from a process of its own, so that the machine's speed is the only limit. The process
# opens CONCURRENCY connections to each address, sends "x" on each, reads to the end, and repeats until TERM.
class ConnectionStorm < Child
  CONCURRENCY = 25

  SOURCE = <<~'RUBY'
    require "json"
    require "socket"

    concurrency, *addresses = ARGV
    open = lambda do |address|
      path = address[/\Aunix:(.*)/, 1]
      path ? UNIXSocket.new(path) : TCPSocket.new(*address.split(":"))
    end
    answers = Hash.new(0)
    stopped = false
    trap("TERM") { stopped = true }
    until stopped
      addresses.each do |address|
        connections = Array.new(concurrency.to_i) do
          open.call(address).tap { |socket| socket.write("x") }
        rescue SystemCallError => e
          e
        end
        connections.each do |connection|
          raise connection if connection.is_a?(Exception)

          answers[connection.read] += 1
          connection.close
        rescue SystemCallError => e
          answers["#{e.class} at #{address}"] += 1
        end
      end
      File.write("completed.new", answers.values.sum)
      File.rename("completed.new", "completed")
    end
    puts JSON.generate(answers)
  RUBY

  def initialize(*addresses)
    dir = Dir.mktmpdir("proxymachine-spec")
    super(RbConfig.ruby, "-e", SOURCE, CONCURRENCY.to_s, *addresses, dir: dir, chdir: dir)
  end

  # The number of connections that have ended.
  def completed
    text_of(File.join(dir, "completed")).to_i
  end

  # Returns when `count` more connections have ended.
  def await(count)
    enough = completed + count
    Eventually.eventually { completed >= enough }
  end

  # Stops the storm and returns each answer and error with its number.
  def finish
    signal("TERM")
    raise report unless wait.success?

    JSON.parse(stdout)
  end
end
