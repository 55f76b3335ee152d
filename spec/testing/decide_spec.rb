# frozen_string_literal: true

# How the blocks are asked.
RSpec.describe "ProxyMachine::Testing::Router#decide:" do
  def load(...)
    TestingConfig.load(...)
  end

  it "the block gets all bytes in one call: a fresh, binary String that it may change" do
    given = "caf\u00e9"
    router = load('proxy { |data| { :close => true, :seen => [data.dup, data.encoding, data.frozen?, data << "!"] } }')
    decision = router.decide(given)
    expect(decision.calls).to eq 1
    expect(decision.answer[:seen]).to eq [given.b, Encoding::BINARY, false, "#{given}!".b]
    expect(given).to eq "caf\u00e9"
    expect(router.decide("x" * 70_000).calls).to eq 1
  end

  it "proxy_accept is asked first, and proxy only if it waits" do
    router = load(<<~CONFIG)
      proxy_accept { |client| client.ip == "10.0.0.9" ? { :remote => "a:1" } : nil }
      proxy { |data| { :close => data } }
    CONFIG
    expect(router.decide("x")).to have_attributes(close?: true, words: "x", calls: 2)
    expect(router.decide("x", ip: "10.0.0.9")).to have_attributes(remote: "a:1", calls: 1)
  end

  it "a client that sends nothing is asked about in proxy_accept alone" do
    router = load('proxy_accept { { :noop => true, :reply => "220 hello" } }; proxy { :close }')
    expect(router.decide("")).to have_attributes(waits?: true, reply: "220 hello", calls: 1)
    expect(router.decide("EHLO")).to have_attributes(close?: true, calls: 2)
    expect(load("proxy { :close }").decide("")).to have_attributes(waits?: true, answer: nil, calls: 0)
  end

  it "a block that raises in proxy_accept closes" do
    expect(load("proxy_accept { raise 'x' }; proxy { :noop }").decide("a"))
      .to have_attributes(close?: true, calls: 1, error: RuntimeError)
  end

  it "the client has the given properties" do
    router = load("proxy { |_, client| { :close => true, :client => client } }")
    decision = router.decide("x", ip: "192.0.2.1", port: 7, local_ip: "192.0.2.2", local_port: 443, listener: :web,
                                  tlvs: [[2, "a"], [2, "b"]], age: 1.5, connections: 3)
    client = decision.answer[:client]
    expect(client).to have_attributes(ip: "192.0.2.1", port: 7, local_ip: "192.0.2.2", local_port: 443, listener: :web,
                                      tlvs: { 2 => "b" }, all_tlvs: [[2, "a"], [2, "b"]], age: 1.5, connections: 3,
                                      tls: nil, to_s: "192.0.2.1:7")
    expect(client).to be_a ProxyMachine::Client
  end

  it "a client without properties is one of this machine" do
    router = load("proxy { |_, client| { :close => true, :client => client } }")
    client = router.decide("x").answer[:client]
    expect(client).to have_attributes(ip: "127.0.0.1", port: Integer, local_ip: "127.0.0.1", local_port: 5432,
                                      listener: "0.0.0.0:5432", tlvs: {}, connections: 1, tls: nil)
  end

  it "client.tls says what the test says, and is otherwise that of a client of today" do
    router = load("proxy { |_, client| { :close => true, :tls => client.tls } }")
    tls = router.decide("x", tls: { sni: "a.example", alpn: "h2" }).answer[:tls]
    expect(tls).to have_attributes(sni: "a.example", alpn: "h2", version: "TLSv1.3", resumed?: false, certificate: nil,
                                   chain: [], cipher: "TLS_AES_128_GCM_SHA256", key_exchange: "X25519MLKEM768")
    expect(router.decide("x", tls: true).answer[:tls]).to have_attributes(sni: nil, resumed?: false)
    expect { router.decide("x", tls: { snii: "a" }) }.to raise_error(ArgumentError, /snii/)
  end

  it "the listener chooses the block" do
    router = load(<<~CONFIG)
      listen "127.0.0.1:80", :name => :web
      listen "[::1]:81"
      listen "unix:/run/x", :name => :local
      proxy { |_, client| { :close => "other \#{client.listener} \#{client.local_ip}:\#{client.local_port}" } }
      proxy(:web) { |_, client| { :close => "web \#{client.local_ip}:\#{client.local_port}" } }
      proxy(:local) { |_, client| { :close => "local \#{client.ip.inspect} \#{client}" } }
    CONFIG
    words = [nil, :web, "web", "[::1]:81", :local].map { |name| router.decide("x", listener: name).words }
    expect(words).to eq ["other [::1]:81 ::1:81", "web 127.0.0.1:80", "web 127.0.0.1:80", "other [::1]:81 ::1:81",
                         "local nil local"]
    expect { router.decide("x", listener: :wbe) }
      .to raise_error(ArgumentError, 'no listener :wbe: the config has :web, "[::1]:81", :local')
  end

  it "the only listener of a config is that of a test which names none" do
    router = load(<<~CONFIG)
      listen "127.0.0.1:80", :name => :web
      proxy(:web) { |_, client| { :close => client.listener.to_s } }
    CONFIG
    expect(router.decide("x").words).to eq "web"
  end

  it "says which argument is wrong" do
    router = load("proxy(:a) { :close }")
    expect { router.decide("x") }.to raise_error(ArgumentError, "no proxy block for a client of no named listener")
    expect { router.decide(nil, listener: :a) }.to raise_error(ArgumentError, "a client sends a String, not nil")
    expect { router.decide("x", listener: :a, address: "1") }.to raise_error(ArgumentError, "a client has no :address")
  end

  it "closes after max_preread bytes, of which the block sees no more" do
    router = load("max_preread 10\nproxy { |data| { :noop => true, :seen => data.size } }")
    expect(router.decide("x" * 9)).to have_attributes(waits?: true)
    decision = router.decide("x" * 11)
    expect([decision.close?, decision.waits?, decision.words, decision.answer[:seen]]).to eq [true, false, nil, 10]
    expect(decision.inspect).to include "closes the connection: no decision after 10 bytes (max_preread)"
  end

  it "a verb that a block calls changes the routes of this config alone" do
    routers = Array.new(2) { load("proxy { proxy { :noop }; :close }") }
    expect([routers[0].decide("x"), routers[0].decide("x"), routers[1].decide("x")].map(&:waits?))
      .to eq [false, true, false]
  end

  it "takes less than 50 microseconds of processor time" do
    router = load('proxy { |data, client| data.start_with?("GET ") ? { :remote => "10.0.0.1:80" } : :noop }')
    request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    times = Array.new(5) do
      begun = Process.clock_gettime(Process::CLOCK_THREAD_CPUTIME_ID)
      1000.times { router.decide(request) }
      (Process.clock_gettime(Process::CLOCK_THREAD_CPUTIME_ID) - begun) / 1000
    end
    expect(times.min).to be < 0.00005
  end
end
