# frozen_string_literal: true

# Large incompressible payloads, compared by digest.
module Payload
  module_function

  # Returns the same bytes for the same name and size.
  def bytes(size, name = "bulk")
    Random.new(name.sum).bytes(size)
  end

  def digest(data)
    Digest::SHA256.hexdigest(data)
  end

  # Writes the data from another thread while it reads. Returns all bytes received.
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
