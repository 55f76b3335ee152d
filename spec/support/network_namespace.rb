# frozen_string_literal: true

# A network namespace with a loopback and all its ports. The thread that creates it is in the namespace until it calls
# `leave`, and so are the threads and processes that it starts meanwhile.
class NetworkNamespace
  CLONE_NEWNET = 0x40000000
  OWN = "/proc/thread-self/ns/net"
  # The numbers of unshare(2) and setns(2), which Ruby has no methods for (syscalls(2); asm/unistd.h).
  CALLS = { "x86_64" => { unshare: 272, setns: 308 }, "aarch64" => { unshare: 97, setns: 268 } }.freeze

  # Returns the reason why a namespace cannot be created, or nil.
  def self.missing
    return "network namespaces need Linux" unless File.exist?(OWN)

    new.leave
    nil
  rescue SystemCallError => e
    "this process may not create a network namespace (#{e.message})"
  end

  # Makes a system call. It raises the error that the kernel returns.
  def self.call(name, *arguments)
    numbers = CALLS.fetch(RbConfig::CONFIG["host_cpu"]) { raise Errno::ENOSYS, name.to_s }
    syscall(numbers.fetch(name), *arguments)
  end

  # Moves the calling thread into the namespace of the file.
  def self.enter(file)
    call(:setns, file.fileno, CLONE_NEWNET) unless File.identical?(file, OWN)
    file.close
  end

  # Ruby caches native threads and reuses them for new Ruby threads. A cached thread is still in the namespace of its
  # last use, so each new thread enters the namespace of the thread that starts it.
  module InheritNamespace
    def initialize(*arguments)
      network = File.open(OWN)
      super do |*given|
        NetworkNamespace.enter(network)
        yield(*given)
      end
    end
  end

  def initialize
    Thread.prepend(InheritNamespace)
    @outside = File.open(OWN)
    NetworkNamespace.call(:unshare, CLONE_NEWNET)
    return if system("ip", "link", "set", "lo", "up")

    leave
    raise Errno::ENOENT, "ip link set lo up"
  end

  def leave
    NetworkNamespace.enter(@outside)
  end

  # Sets the range of ephemeral ports.
  def local_ports=(range)
    File.write("/proc/sys/net/ipv4/ip_local_port_range", "#{range.min} #{range.max}")
  end

  # `in_network_namespace` in a group runs its examples, and the processes that it starts, in a network namespace.
  module Groups
    def in_network_namespace
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
