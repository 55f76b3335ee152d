# frozen_string_literal: true

require "openssl"
require "socket"
require "timeout"

# The requests of the clients in the hunt, and the expected replies.
module Conversations
  # says:: what the client sends before it ends its side
  # expected:: what must match all that it hears
  # listener:: 0, or 1 for the one that awaits a PROXY header
  # pause:: seconds after the first byte; from 1 on, the client does not end its side
  Conversation = Struct.new(:says, :expected, :listener, :pause) do
    # A client that gets no processor for a second is late with anything.
    def fits?(heard)
      expected === heard || (listener.zero? ? heard == LATE : heard.empty?) # rubocop:disable Style/CaseEquality
    end
  end

  LATE = "late 127.0.0.1"

  def self.client_hello
    mine, theirs = UNIXSocket.pair
    tls = OpenSSL::SSL::SSLSocket.new(theirs)
    tls.hostname = "blue.example"
    tls.connect_nonblock(exception: false)
    mine.recv(65_536)
  end

  def self.packet(text)
    format("%04x", text.bytesize + 4) + text
  end

  def self.say(says, expected, listener: 0, pause: nil)
    Conversation.new(says, expected, listener, pause)
  end

  FORMS = {
    "short" => "short\n", "symbol" => "symbol\n", "rewritten" => "#{"r" * 5_000}#{"d" * 70_000}",
    "subclass" => "oddsubclass\n", "list" => "list\n", "header" => /\A\r\n\r\n\0\r\nQUIT\n\x21\x11/n,
    "unknown_key" => "unknown_key\n", "close" => "", "words" => "last words", "object" => /\A#<Object/, "false" => "",
    "nothing" => "", "nowhere" => "", "bad_retries" => "", "raised" => "", "thrown" => ""
  }.map { |name, expected| say("#{name}\n", expected) }

  # A client that has ended its side is not told of trouble with its backend.
  WAITING = [say("refused\n", /\Ano way to 127/, pause: 5), say("closing\n", /\Ano way to 127/, pause: 5),
             say("silent\n", /\Asilence of 127/, pause: 5), say("", LATE, pause: 5),
             say("short\n#{"x" * 200_000}", "short\n#{"x" * 200_000}", pause: 0.02)].freeze

  PROTOCOLS = {
    client_hello => /\A127.0.0.1 .*sni="blue\.example"/,
    "GET http://blue.test:81/a HTTP/1.1\r\nHost: blue.test:81\r\nX-A: 1\r\nx-a: 2\r\n\r\n" => /"blue\.test".*"1, 2"/,
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" => /HTTP::Request/,
    [28, 196_608, "user\0me\0database\0d\0\0"].pack("NNa*") => /database="d"/,
    [16, 80_877_102, 4711, 5].pack("N4") => /kind=:cancel/,
    "\x04\x01\x00\x50\x00\x00\x00\x01me\0blue.test\0" => /command=:connect.*blue\.test/,
    "\x05\x02\x00\x02" => /Greeting/,
    "SSH-2.0-OpenSSH_9.2 Debian\r\n" => /software="OpenSSH_9\.2"/,
    packet("git-upload-pack /project.git\0host=blue.test:99\0") => %r{path="/project\.git"}
  }.map { |says, expected| say(says.b, expected) }

  # PROXY, version 2: TCP over IPv4 from 10.1.2.3:4 with a TLV of a client's name.
  HEADER = ["\r\n\r\n\0\r\nQUIT\n\x21\x11", 24, 10, 1, 2, 3, 127, 0, 0, 1, 4, 80, 2, 9, "blue.test"].pack("a*nC8nnCna*")
  BALANCED = [say("#{HEADER}anything", /\A10\.1\.2\.3:4 balanced .*"blue\.test"/, listener: 1)].freeze

  ALL = (FORMS + WAITING + PROTOCOLS + BALANCED).freeze

  # Returns all that the client hears.
  def self.hold(conversation, ports)
    Socket.tcp("127.0.0.1", ports.fetch(conversation.listener), connect_timeout: 60) do |socket|
      pause = conversation.pause
      says = conversation.says
      if pause && says.size > 100
        socket.write(says[0])
        sleep pause
        says = says[1..]
      end
      socket.write(says)
      socket.close_write unless pause && pause >= 1
      Timeout.timeout(60) { socket.read.b }
    end
  end
end
