# frozen_string_literal: true

require "json"

# Visitors by the thousand: a process that connects to all these addresses, so many at once, says "x" at each and reads
# to the end; again and again until it is told that it is over. In a process of its own, so that they are as many as
# the machine can take.
class Rush < Child
  AT_ONCE = 25

  SOURCE = <<~'RUBY'
    require "json"
    require "socket"

    at_once, *addresses = ARGV
    open = lambda do |address|
      path = address[/\Aunix:(.*)/, 1]
      path ? UNIXSocket.new(path) : TCPSocket.new(*address.split(":"))
    end
    answers = Hash.new(0)
    over = false
    trap("TERM") { over = true }
    until over
      addresses.each do |address|
        visits = Array.new(at_once.to_i) do
          open.call(address).tap { |socket| socket.write("x") }
        rescue SystemCallError => e
          e
        end
        visits.each do |visit|
          raise visit if visit.is_a?(Exception)

          answers[visit.read] += 1
          visit.close
        rescue SystemCallError => e
          answers["#{e.class} at #{address}"] += 1
        end
      end
      File.write("visits.new", answers.values.sum)
      File.rename("visits.new", "visits")
    end
    puts JSON.generate(answers)
  RUBY

  def initialize(*addresses)
    dir = Dir.mktmpdir("proxymachine-spec")
    super(RbConfig.ruby, "-e", SOURCE, AT_ONCE.to_s, *addresses, dir: dir, chdir: dir)
  end

  # How many there were.
  def visits
    text_of(File.join(dir, "visits")).to_i
  end

  # Returns when so many more have been there.
  def await(count)
    enough = visits + count
    Eventually.eventually { visits >= enough }
  end

  # What they were answered, or what went wrong, and how often.
  def finish
    signal("TERM")
    raise report unless wait.success?

    JSON.parse(stdout)
  end
end
