# frozen_string_literal: true

require "fiddle"

# A network of one's own: a loopback with all its ports, away from the machine's. The thread that makes it is in it
# until it leaves, and so are the threads and processes that it starts meanwhile.
class NetworkNamespace
  CLONE_NEWNET = 0x40000000
  OWN = "/proc/thread-self/ns/net"

  # Why there can be none, or nil.
  def self.missing
    return "namespaces are Linux's" unless File.exist?(OWN)

    new.leave
    nil
  rescue SystemCallError => e
    "this process may not make a network namespace (#{e.message})"
  end

  # A function of the C library that takes numbers.
  def self.call(name, *arguments)
    function = Fiddle::Function.new(Fiddle.dlopen(nil)[name], [Fiddle::TYPE_INT] * arguments.size, Fiddle::TYPE_INT)
    raise SystemCallError.new(name, Fiddle.last_error) unless function.call(*arguments).zero?
  end

  # The calling thread is in that network from now on.
  def self.enter(file)
    call("setns", file.fileno, CLONE_NEWNET) unless File.identical?(file, OWN)
    file.close
  end

  # Ruby keeps native threads for a while and gives them to new ones. Such a thread is still where it was last, and
  # belongs where whoever starts it is.
  module Following
    def initialize(*arguments)
      network = File.open(OWN)
      super do |*given|
        NetworkNamespace.enter(network)
        yield(*given)
      end
    end
  end

  def initialize
    Thread.prepend(Following)
    @outside = File.open(OWN)
    NetworkNamespace.call("unshare", CLONE_NEWNET)
    return if system("ip", "link", "set", "lo", "up")

    leave
    raise Errno::ENOENT, "ip link set lo up"
  end

  def leave
    NetworkNamespace.enter(@outside)
  end

  # The ports that connections get which are not bound to one.
  def local_ports=(range)
    File.write("/proc/sys/net/ipv4/ip_local_port_range", "#{range.min} #{range.max}")
  end

  # In a group: its examples, and what it starts, are in a network of their own.
  module Groups
    def in_own_network
      before(:context) do
        missing = NetworkNamespace.missing
        skip missing if missing
        @network = NetworkNamespace.new
      end
      after(:context) { @network&.leave }
    end
  end
end

RSpec.configure { |config| config.extend NetworkNamespace::Groups }
