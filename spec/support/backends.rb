# frozen_string_literal: true

# Backends with the behaviours that the specs need.
module Backends
  module_function

  # Replies to the first chunk with its name and the chunk, and closes.
  def once(name, **at)
    Backend.new(**at) { |session| session.write("#{name}:#{session.read}") }
  end

  # Sends back every byte; its name, if it has one, comes before the first.
  def echo(name = nil, **at)
    Backend.new(**at) do |session|
      while (data = session.read)
        session.write(session.received.size == data.size && name ? "#{name}:#{data}" : data)
      end
    end
  end

  # Reads to end of file, and then replies with its name and the request.
  def reply_at_eof(name)
    Backend.new { |session| session.write("#{name}:#{session.drain}") }
  end

  # Sends first, as the servers of SSH, SMTP and MySQL do.
  def greeting(text)
    Backend.new do |session|
      session.write(text)
      session.drain
    end
  end

  # Replies to an HTTP request with its name, the request line and the length of the request's body.
  def http(name)
    Backend.new do |session|
      session.read until session.received.include?("\r\n\r\n")
      head, = session.received.split("\r\n\r\n", 2)
      length = head[/^Content-Length: (\d+)/i, 1].to_i
      session.read_until(head.size + 4 + length)
      body = "#{name}: #{head.lines.first.chomp}, #{length} bytes"
      session.write("HTTP/1.1 200 OK\r\nContent-Length: #{body.size}\r\nConnection: close\r\n\r\n#{body}")
    end
  end

  # Reads and never replies. The connection stays open even after end of file.
  def silent
    Backend.new do |session|
      session.drain
      sleep
    end
  end

  # Neither reads nor writes.
  def stalled
    Backend.new { sleep }
  end

  # Reads the request, and closes without a reply.
  def closing
    Backend.new(&:read)
  end

  # Replies to the first bytes that have come inside TLS, in the words of the block, and closes. After a failed
  # handshake it reads to the end, as a server does that wants its alert to arrive.
  def encrypted(context)
    Backend.new do |session|
      encrypted = OpenSSL::SSL::SSLSocket.new(session.socket, context).tap(&:accept)
      encrypted.write(yield(encrypted.readpartial(100)))
      encrypted.close
    rescue OpenSSL::SSL::SSLError
      session.drain
    rescue EOFError
      encrypted.close # A check makes a handshake, and sends nothing.
    end
  end

  # Resets the connection instead of replying.
  def resetting
    Backend.new do |session|
      session.read
      session.reset
    end
  end

  # Refuses connections until `listen` is called.
  def refusing(&serve)
    Backend.new(listening: false, &serve)
  end

  # Neither accepts nor refuses connections: its backlog is full.
  def black_hole
    BlackHole.new
  end
end
