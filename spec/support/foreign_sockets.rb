# frozen_string_literal: true

# Another process's sockets: how many there are, and duplicates to read their options (pidfd_getfd: Linux 5.6 and
# later).
module ForeignSockets
  PIDFD_OPEN = 434
  PIDFD_GETFD = 438

  module_function

  # Yields each connected TCP socket of the process. Raises SystemCallError where the system does not allow it.
  def each_connected(pid)
    pidfd = syscall(PIDFD_OPEN, pid, 0)
    Dir.children("/proc/#{pid}/fd").each do |number|
      next unless socket(pid, number)

      with_copy(pidfd, number.to_i) { |socket| yield socket if connected?(socket) }
    end
  ensure
    IO.for_fd(pidfd).close if pidfd
  end

  # The process's sockets. Duplicates of one count once: the engine takes one of each listener when it starts, which may
  # be after the process has said that it listens.
  def count(pid)
    sockets(pid).uniq.size
  end

  # The port of one of the process's listening sockets, or nil.
  def listening_port(pid)
    own = sockets(pid)
    lines = %w[tcp tcp6].flat_map { |table| File.readlines("/proc/#{pid}/net/#{table}").drop(1) }
    address = lines.map(&:split).find { |fields| fields[3] == "0A" && own.include?("socket:[#{fields[9]}]") }
    address && address[1][/\h+\z/].hex
  end

  # Returns what names the socket behind each descriptor that has one.
  def sockets(pid)
    Dir.children("/proc/#{pid}/fd").filter_map { |number| socket(pid, number) }
  end

  # Returns what names the socket behind the descriptor, or nil when it is none.
  def socket(pid, number)
    name = File.readlink("/proc/#{pid}/fd/#{number}")
    name if name.start_with?("socket:")
  rescue Errno::ENOENT
    nil
  end

  def with_copy(pidfd, number)
    socket = Socket.for_fd(syscall(PIDFD_GETFD, pidfd, number, 0))
    yield socket
  ensure
    socket&.close
  end

  def connected?(socket)
    socket.getpeername && socket.local_address.ip?
  rescue SystemCallError
    false
  end
end
