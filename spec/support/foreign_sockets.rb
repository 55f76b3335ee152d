# frozen_string_literal: true

# Duplicates of another process's sockets, to read their options (pidfd_getfd: Linux 5.6 and later).
module ForeignSockets
  PIDFD_OPEN = 434
  PIDFD_GETFD = 438

  module_function

  # Yields each connected TCP socket of the process. Raises SystemCallError where the system does not allow it.
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
