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

  # What a hash, a symbol or a string looks like in the log, as this Ruby prints it.
  def answer_line(client, answer)
    "INFO #{client.address} #{answer.inspect}"
  end
end
