# frozen_string_literal: true

# The kinds of backends that the specs put behind the proxy.
module Backends
  module_function

  # Answers the first thing it hears with its name and that, and closes.
  def once(name, **at)
    Backend.new(**at) { |session| session.write("#{name}:#{session.read}") }
  end

  # Says its name first, if it has one, and then all it hears.
  def echo(name = nil)
    Backend.new do |session|
      while (data = session.read)
        session.write(session.received.size == data.size && name ? "#{name}:#{data}" : data)
      end
    end
  end

  # Waits for the end of the request, and answers with its name and the request.
  def patient(name)
    Backend.new { |session| session.write("#{name}:#{session.drain}") }
  end

  # Speaks first, as SSH, SMTP and MySQL do.
  def greeting(text)
    Backend.new do |session|
      session.write(text)
      session.drain
    end
  end

  # Answers each HTTP request with its name, the request line and the length of the body that came with it.
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

  # Reads and never answers; keeps the connection open even after the end of the request.
  def silent
    Backend.new do |session|
      session.drain
      sleep
    end
  end

  # Reads nothing, says nothing.
  def deaf
    Backend.new { sleep }
  end

  def closing
    Backend.new(&:close)
  end

  # Resets the connection instead of answering.
  def resetting
    Backend.new do |session|
      session.read
      session.reset
    end
  end

  # Refuses, until told to `listen`.
  def refusing(&serve)
    Backend.new(listening: false, &serve)
  end

  # Neither accepts nor refuses: its queue of connections is full.
  def black_hole
    BlackHole.new
  end
end
