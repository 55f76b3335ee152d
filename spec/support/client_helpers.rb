# frozen_string_literal: true

# Helpers that nearly every example needs: connect, send a request, read the reply.
module ClientHelpers
  def connect(to = proxy)
    Client.new(to.port)
  end

  # Sends the text, returns everything that arrives until the proxy ends its side, and closes the connection.
  def ask(text, to = proxy)
    client = connect(to)
    client.write(text).read_all
  ensure
    client&.close
  end

  # An address that refuses connections.
  def refused_address
    Backends.refusing.address
  end

  # A port that is free, and stays so until it is used.
  def free_port
    Daemon.free_ports(1).first
  end

  # All addresses that a proxy listens on, in the order of its log.
  def listen_addresses(proxy)
    Eventually.eventually { proxy.log.include?("Send QUIT to quit") }
    proxy.log.scan(/Listening on (\S+)$/).flatten
  end

  # Connects from another address of the loopback.
  def connect_from(host, port)
    Client.new(port, local_host: host)
  end

  # The log line for a block's answer: a Hash, Symbol or String as this Ruby inspects it.
  def answer_log_line(client, answer)
    "INFO #{client.address} #{answer.inspect}"
  end
end
