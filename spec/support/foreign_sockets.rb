# frozen_string_literal: true

# Copies of the sockets of another process of ours, to look at their options (Linux 5.6 and later: pidfd_getfd).
module ForeignSockets
  PIDFD_OPEN = 434
  PIDFD_GETFD = 438

  module_function

  # Yields each of its connected TCP sockets; raises SystemCallError where the system does not allow it.
  def each_connected(pid)
    pidfd = syscall(PIDFD_OPEN, pid, 0)
    Dir.children("/proc/#{pid}/fd").each do |number|
      next unless socket?(pid, number)

      with_copy(pidfd, number.to_i) { |socket| yield socket if connected?(socket) }
    end
  ensure
    IO.for_fd(pidfd).close if pidfd
  end

  def socket?(pid, number)
    File.readlink("/proc/#{pid}/fd/#{number}").start_with?("socket:")
  rescue Errno::ENOENT
    false
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
