# frozen_string_literal: true

# Large incompressible payloads, made once and compared by digest.
module Bulk
  module_function

  # The same bytes for the same name and size.
  def bytes(size, name = "bulk")
    Random.new(name.sum).bytes(size)
  end

  def digest(data)
    Digest::SHA256.hexdigest(data)
  end

  # Reads it all while another thread writes; returns what came.
  def exchange(socket, data)
    writer = Thread.new do
      socket.write(data)
      socket.shutdown(Socket::SHUT_WR)
    end
    received = socket.read
    writer.join
    received
  end
end
