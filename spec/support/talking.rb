# frozen_string_literal: true

# What nearly every example does: connect, say something, read the answer.
module Talking
  def connect(to = proxy)
    Client.new(to.port)
  end

  # Says it, and returns everything that comes back until the proxy closes.
  def ask(text, to = proxy)
    connect(to).write(text).read_all
  end

  def address_of_refused
    Backends.refusing.address
  end

  # All that a proxy listens on, in the order in which it says so.
  def addresses_of(proxy)
    Eventually.eventually { proxy.log.include?("Send QUIT to quit") }
    proxy.log.scan(/Listening on (\S+)$/).flatten
  end

  # Connected from the address of another client of the loopback.
  def connect_from(host, port)
    Client.new(port, local_host: host)
  end

  # What a hash, a symbol or a string looks like in the log, as this Ruby prints it.
  def answer_line(client, answer)
    "INFO #{client.address} #{answer.inspect}"
  end
end
