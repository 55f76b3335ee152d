# frozen_string_literal: true

# The config of the servers of the garbage collection hunt. A client sends the name of a form and a line feed, or the
# first message of a protocol that a sniffer knows.

ECHO, CLOSING, SILENT, REFUSED = ENV.fetch("HUNT_BACKENDS").split

# Looks keys up in its own way, so that the extension has to call it.
class OddHash < Hash
  def [](key) = super(key.to_s.to_sym)
end

FORMS = {
  "short" => -> { +ECHO },
  "symbol" => -> { { remote: ECHO.to_sym } },
  "rewritten" => -> { { remote: +ECHO, data: "d" * 70_000, reply: "r" * 5_000, connect_timeout: Rational(5) } },
  "subclass" => -> { OddHash.new.merge!(remote: ECHO, reply: +"odd") },
  "list" => -> { { remote: [+REFUSED, ECHO.to_sym], retries: 1, retry_delay: 0.01, local_host: +"127.0.0.1" } },
  "header" => -> { { remote: ECHO, proxy_protocol: 2, data: "" } },
  "unknown_key" => -> { { remote: ECHO, "key #{rand(100)}".to_sym => 1 } },
  "close" => -> { :close },
  "words" => -> { { close: +"last words" } },
  "object" => -> { { close: Object.new } },
  "false" => -> { false },
  "nothing" => -> { Object.new },
  "nowhere" => -> { { remote: +"nowhere" } },
  "bad_retries" => -> { { remote: ECHO, retries: "many #{rand(100)}" } },
  "raised" => -> { raise "a mistake #{rand(100)}" },
  "thrown" => -> { throw :nowhere },
  "refused" => -> { { remote: +REFUSED, retries: 0 } },
  "closing" => -> { { remote: +CLOSING } },
  "silent" => -> { { remote: +SILENT, inactivity_timeout: 0.05 } }
}.freeze

SNIFFERS = [ProxyMachine::TLS.method(:client_hello), ProxyMachine::HTTP.method(:request),
            ProxyMachine::Postgres.method(:startup), ProxyMachine::SOCKS.method(:request),
            ProxyMachine::SSH.method(:banner), ProxyMachine::Git.method(:request)].freeze

def answer_to(data, client)
  found = SNIFFERS.filter_map { |sniffer| sniffer.call(data) }
  return { close: "#{client.ip} #{found.first.inspect}" } if found.any?(Struct)

  name = data[/\A(\w+)\n/, 1]
  FORMS.key?(name) ? FORMS.fetch(name).call : { noop: true }
end

# What the collector does between two pauses.
MODES = {
  "compact" => -> { 10.times { GC.compact } },
  "auto_compact" => lambda do
    GC.auto_compact = true
    10.times { GC.start }
  end,
  "stress" => lambda do
    GC.stress = true
    sleep 0.05
    GC.stress = false
  end
}.freeze

# A reload runs this file again and must not start a second thread.
if Thread.list.none? { |thread| thread.name == "collector" }
  Thread.new do
    loop do
      MODES.fetch(ENV.fetch("HUNT_MODE")).call
      sleep 0.02
    end
  end.name = "collector"
end

threads Integer(ENV.fetch("HUNT_THREADS"))
log_format ENV.fetch("HUNT_LOG_FORMAT")
access_log ENV.fetch("HUNT_ACCESS_LOG")
admin "127.0.0.1:0"
decision_timeout 1
slow_block 0.05
listen "127.0.0.1:0", name: :balanced, proxy_protocol: ["127.0.0.0/8"]

proxy_accept { |client| client.ip && { noop: true } }
# On a machine that is busy, the time may be over although the client has sent all.
proxy_timeout { |data, client| data.empty? ? { close: "late #{client.ip}" } : answer_to(data, client) }
proxy_connect_error { |remote| { close: "no way to #{remote}" } }
proxy_inactivity_error { |remote| { close: "silence of #{remote}" } }

proxy(:balanced) { |_data, client| { close: "#{client} #{client.listener} #{client.tlvs.inspect}" } }

proxy { |data, client| answer_to(data, client) }
