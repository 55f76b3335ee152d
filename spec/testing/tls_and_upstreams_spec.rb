# frozen_string_literal: true

require_relative "../../lib/proxymachine/rspec"

RSpec.describe "ProxyMachine::Testing:" do
  def load(source)
    TestingConfig.load(ExampleIdentities.existing(source))
  end

  describe "TLS" do
    certificates = 'CERTIFICATES = certificates "/etc/proxymachine/tls/*.pem"'

    it "a router that ends TLS says so, and decides about the decrypted bytes" do
      router = load(<<~CONFIG)
        #{certificates}
        proxy do |data, client|
          next { :tls => CERTIFICATES } unless client.tls
          client.tls.sni == "www.example.com" ? "a:1" : { :close => "no \#{client.tls.sni.inspect}" }
        end
      CONFIG
      hello = router.decide("\x16\x03\x01")
      expect(hello).to have_attributes(tls?: true, waits?: false, close?: false, remote: nil, words: nil, calls: 1)
      expect(hello.inspect).to start_with "#<Decision ends TLS here (answer "
      expect(router).to route("GET /", tls: { sni: "www.example.com" }).to("a:1")
      expect(router).to close("GET /", tls: true).with("no nil")
    end

    it "words in clear before the handshake are the words of the decision" do
      router = load("#{certificates}\nproxy { { :noop => 'S', :tls => CERTIFICATES } }")
      expect(router.decide("x")).to have_attributes(tls?: true, words: "S", reply: "S")
      expect(router.decide("x").inspect).to include 'says "S" and ends TLS here'
    end

    it "ends TLS once: a router that asks for it again gives an invalid answer" do
      router = load("#{certificates}\nproxy { { :tls => CERTIFICATES } }")
      decision = router.decide("x", tls: true)
      expect(decision).to have_attributes(tls?: false, close?: true)
      expect(decision.inspect).to include "the answer is invalid: TLS has ended already"
    end

    it "proxy_accept that ends TLS is followed by proxy" do
      router = load("#{certificates}\nproxy_accept { { :tls => CERTIFICATES } }\nproxy { 'a:1' }")
      expect(router.decide("")).to have_attributes(tls?: true, calls: 1)
      expect(router.decide("x", tls: true)).to have_attributes(remote: "a:1", calls: 2)
    end

    it "a client of a listener that ends TLS speaks TLS" do
      router = load(<<~CONFIG)
        #{certificates}
        listen "127.0.0.1:443", :tls => CERTIFICATES, :name => :web
        listen "127.0.0.1:80", :name => :plain
        proxy { |data, client| { :close => client.tls ? client.tls.version : "plain" } }
      CONFIG
      expect(router.decide("x", listener: :web).words).to eq "TLSv1.3"
      expect(router.decide("x", listener: :plain).words).to eq "plain"
    end

    it "certificates that cannot be loaded are an error of the config" do
      expect { load("certificates '/nonexistent.pem'\nproxy { :close }") }
        .to raise_error(ProxyMachine::ConfigError, %r{/nonexistent\.pem})
    end
  end

  describe "upstreams" do
    it "are Symbols, alone and in lists" do
      router = load(<<~CONFIG)
        upstream :db, "10.0.0.1:5432", "10.0.0.2:5432"
        proxy { |data| data == "list" ? { :remote => [:db, "a:1"] } : data == "alone" ? :db : { :remote => :other } }
      CONFIG
      expect(router.decide("alone")).to have_attributes(remote: :db, remotes: [:db])
      expect(router.decide("list").remotes).to eq [:db, "a:1"]
      expect(router).to route("alone").to(:db)
      expect(router).to route("list").to("db", "a:1")
      expect(router.decide("undeclared")).to have_attributes(close?: true, remote: nil, error: nil)
    end

    it "neither list, nor check, nor start anything" do
      router = load(<<~CONFIG)
        RAN = []
        upstream(:listed, :every => 1) { RAN << :list; ["a:1"] }
        upstream :game, "127.0.0.1:1", :start => -> { RAN << :start }, :stop => -> { RAN << :stop }, :check => 1
        upstream_check(:game) { RAN << :check }
        proxy { |data| { :remote => data.to_sym, :ran => RAN } }
      CONFIG
      before = Thread.list
      expect(router.decide("listed").answer[:ran]).to eq []
      expect(router.decide("game")).to have_attributes(remote: :game, answer: include(ran: []))
      expect(Thread.list).to eq before
    end

    it "a check without an upstream is an error of the config" do
      expect { load("upstream_check(:x) { true }\nproxy { :close }") }
        .to raise_error(ProxyMachine::ConfigError, "upstream_check(:x): no upstream has that name")
    end
  end
end
