# frozen_string_literal: true

RSpec.describe "ProxyMachine::Testing::Router#cuts:" do
  def cuts(source, bytes, **client)
    TestingConfig.load(source).cuts(bytes, **client)
  end

  it "is empty for a router that waits until it has all it needs" do
    router = 'proxy { |data| data.include?("\n") ? { :remote => "a:1" } : :noop }'
    ["GET /\n", "GET /\n and a body", "GET", "\n", "x", ""].each { |bytes| expect(cuts(router, bytes)).to eq [] }
  end

  it "has each cut at which a router decides on half a request" do
    found = cuts('proxy { |data| data.start_with?("GET ") ? "a:1" : :close }', "GET /cats")
    expect(found.map(&:cut)).to eq [1, 2, 3, :bytes]
    expect(found).to all have_attributes(close?: true, calls: 1)
    expect(found.first.inspect).to eq "#<Decision cut after 1 byte, closes the connection (answer :close, 1 call)>"
    expect(found.last.inspect).to eq "#<Decision byte by byte, closes the connection (answer :close, 1 call)>"
  end

  it "finds a router that decides by the longest match too early" do
    router = 'proxy { |data| data.start_with?("/api") ? "b:1" : data.start_with?("/") ? "a:1" : :close }'
    expect(cuts(router, "/api/x").map { |decision| [decision.cut, decision.remote] })
      .to eq [[1, "a:1"], [2, "a:1"], [3, "a:1"], [:bytes, "a:1"]]
  end

  it "calls the block again after it has waited, with all bytes, as for one client" do
    found = cuts('proxy { |data| data == "abc" ? "a:1" : data.size == 2 ? :noop : :close }', "abc")
    expect(found.map { |decision| [decision.cut, decision.calls] }).to eq [[1, 1], [:bytes, 1]]
  end

  it "compares what the remote receives in the end, not the pieces" do
    expect(cuts('proxy { |data| data.size < 3 ? :noop : { :remote => "a:1", :data => data.upcase[0, 3] + data[3..] } }',
                "abcdef")).to eq []
    wrong = cuts('proxy { |data| data.size < 3 ? :noop : { :remote => "a:1", :data => data.upcase } }', "abcdef")
    expect(wrong.map(&:cut)).to eq [3, 4, 5, :bytes]
    expect(wrong.first.data).to eq "ABC"
  end

  it "does not count what a client is sent that has to wait" do
    router = 'proxy { |data| data.size < 3 ? { :noop => "more" } : "a:1" }'
    expect(cuts(router, "abc")).to eq []
  end

  it "compares remotes, words, replies, exceptions and other keys" do
    different = lambda do |first, second|
      cuts("proxy { |data| data.size == 1 ? #{first} : #{second} }", "ab").map(&:cut)
    end
    expect(different['{ :close => "a" }', '{ :close => "b" }']).to eq [1, :bytes]
    expect(different['{ :close => "a" }', '{ :close => "a" }']).to eq []
    expect(different['["a:1"]', '"a:1"']).to eq [1, :bytes] # invalid
    expect(different["{ :remote => %w[a:1 b:1] }", "{ :remote => %w[a:1 c:1] }"]).to eq [1, :bytes]
    expect(different['{ :remote => "a:1", :reply => "x" }', '"a:1"']).to eq [1, :bytes]
    expect(different['{ :remote => "a:1", :retries => 1 }', '"a:1"']).to eq [1, :bytes]
    expect(different["raise", ":close"]).to eq [1, :bytes]
    expect(different["raise", "raise"]).to eq []
    expect(different[":close", ":noop"]).to eq [1, :bytes]
  end

  it "asks each time about another client, as proxy_accept sees it" do
    router = TestingConfig.load(<<~CONFIG)
      CLIENTS = []
      proxy_accept { |client| CLIENTS << client; nil }
      proxy { |data| data.size < 3 ? :noop : { :close => true, :clients => CLIENTS } }
    CONFIG
    expect(router.cuts("abc")).to eq []
    # In one piece, cut after 1 byte and after 2, byte by byte, and in one piece again.
    expect(router.decide("abc").answer[:clients].uniq(&:object_id).size).to eq 5
  end

  it "takes properties of the client" do
    router = 'proxy { |data, client| client.listener == :web && data.size < 2 ? :close : "a:1" }'
    expect(cuts(router, "ab")).to eq []
    expect(cuts(router, "ab", listener: :web).map(&:cut)).to eq [1, :bytes]
  end

  it "finds in many bytes what it finds in few" do
    bytes = "x" * 5000
    expect(cuts("proxy { |data| data.size == 4500 ? :close : data.size < 5000 ? :noop : 'a:1' }", bytes).map(&:cut))
      .to eq [4500, :bytes]
    expect(cuts("proxy { |data| data.size < 4500 ? :noop : data.size < 4999 ? :close : 'a:1' }", bytes).map(&:cut))
      .to eq [*4500..4998, :bytes]
  end

  it "cuts 64 KiB at every byte in less than 10 seconds of processor time" do
    head = "GET / HTTP/1.1\r\nHost: a\r\nX: #{"x" * 65_504}\r\n\r\n"
    expect(head.size).to eq 65_536
    router = TestingConfig.load('proxy { |data| data =~ /\r\n\r\n/ ? "a:1" : :noop }')
    begun = Process.clock_gettime(Process::CLOCK_THREAD_CPUTIME_ID)
    expect(router.cuts(head)).to eq []
    expect(Process.clock_gettime(Process::CLOCK_THREAD_CPUTIME_ID) - begun).to be < 10
  end
end
