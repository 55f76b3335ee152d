# frozen_string_literal: true

require "resolv"

# A name server whose answer depends on the first label of the name:
# good: 127.0.0.1; two: 127.0.0.2 and 127.0.0.1; dual: ::1 and 127.0.0.1; nx: NXDOMAIN; fail: SERVFAIL;
# late: 127.0.0.1 after half a second; four: 127.0.0.1, and no answer to an AAAA query; garbage: bytes that are not DNS;
# any other label: no answer.
class NameServer
  include ResourceTracking

  ADDRESSES = { "good" => %w[127.0.0.1], "two" => %w[127.0.0.2 127.0.0.1], "late" => %w[127.0.0.1],
                "dual" => %w[::1 127.0.0.1], "four" => %w[127.0.0.1] }.freeze
  CODES = { "nx" => Resolv::DNS::RCode::NXDomain, "fail" => Resolv::DNS::RCode::ServFail }.freeze

  # The names of all queries.
  attr_reader :queried

  def initialize(host, port = 53)
    @queried = []
    @socket = UDPSocket.new
    @socket.bind(host, port)
    @thread = Thread.new { loop { serve(*@socket.recvfrom(512)) } }
    track
  end

  def stop
    untrack
    @thread.kill.join
    @socket.close
  end

  private

  def serve(packet, (_, port, host))
    query = Resolv::DNS::Message.decode(packet)
    name, type = query.question.first
    @queried << name.to_s
    kind = name.to_s[/\A[a-z]+/]
    text = kind == "garbage" ? "garbage" : answer(query, name, type, kind)
    Thread.new { reply(text, kind == "late" ? 0.5 : 0, host, port) } if text
  end

  def reply(text, delay, host, port)
    sleep delay
    @socket.send(text, 0, host, port)
  rescue IOError
    nil # the server was stopped meanwhile
  end

  def answer(query, name, type, kind)
    return unless CODES.key?(kind) || ADDRESSES.key?(kind)
    return if kind == "four" && type != Resolv::DNS::Resource::IN::A

    message = Resolv::DNS::Message.new(query.id)
    message.qr = message.rd = message.ra = 1
    message.add_question(name, type)
    message.rcode = CODES.fetch(kind, Resolv::DNS::RCode::NoError)
    message.answer.concat(records(name, kind, type))
    message.encode
  end

  # The addresses of the queried family.
  def records(name, kind, type)
    forms = { Resolv::DNS::Resource::IN::A => Resolv::IPv4::Regex,
              Resolv::DNS::Resource::IN::AAAA => Resolv::IPv6::Regex }
    form = forms[type]
    addresses = form ? ADDRESSES.fetch(kind, []).grep(form) : []
    addresses.map { |address| [name, 0, type.new(address)] }
  end
end
