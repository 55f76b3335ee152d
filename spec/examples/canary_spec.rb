# frozen_string_literal: true

RSpec.describe "examples/canary.rb:" do
  # Every address of 127.0.0.0/8 may be a client's.
  addresses = Array.new(300) { |number| "127.#{number % 7}.#{number / 250 + 1}.#{number % 250 + 1}" }

  running(:nginx) { Nginx.start("canary", "stable") }
  running(:proxy) { started }

  def started(percent: 20, canary: nginx["canary"], **more)
    environment = { "CANARY" => canary, "STABLE" => nginx["stable"], "CANARY_PERCENT" => percent.to_s }
    ExampleConfig.start("canary", environment.merge(more.transform_keys(&:to_s)))
  end

  # Returns the server of each address, from one real curl that uses one address after another.
  def versions(addresses, proxy = self.proxy)
    addresses.zip(ask_from(addresses, proxy)).to_h
  end

  def ask_from(addresses, proxy)
    url = "http://127.0.0.1:#{proxy.port}/"
    requests = addresses.map { |address| ["--interface", address, "--write-out", "\\n", url] }
    requests.inject { |all, request| [*all, "--next", "--silent", *request] }
            .then { |arguments| Curl.get(*arguments).lines.map { |line| line[/\A\w+/] } }
  end

  def chosen(addresses, **options)
    versions(addresses, started(**options)).select { |_, version| version == "canary" }.keys
  end

  it "routes the configured share of clients to the canary, the others to the stable version" do
    counts = versions(addresses).values.tally
    expect(counts.keys).to contain_exactly("canary", "stable")
    expect(counts["canary"]).to be_within(28).of(60) # four standard deviations
  end

  it "routes each client the same way, also after a restart" do
    some = addresses.first(60)
    first = versions(some)
    expect(versions(some)).to eq first
    expect(versions(some, started)).to eq first
  end

  it "a higher percentage adds clients and moves none back" do
    some = addresses.first(60)
    shares = [0, 10, 50, 100].map { |percent| chosen(some, percent: percent) }
    shares.each_cons(2) { |lower, higher| expect(lower - higher).to eq [] }
    expect(shares.map(&:size)).to eq shares.map(&:size).uniq.sort
    expect([shares.first, shares.last]).to eq [[], some]
  end

  it "another seed selects other clients" do
    some = addresses.first(60)
    expect(chosen(some, percent: 50, CANARY_TURN: "second")).not_to eq chosen(some, percent: 50)
  end

  it "routes the canary's clients to the stable version while the canary is down" do
    down = started(percent: 100, canary: refused_address)
    expect(versions(addresses.first(5), down).values.uniq).to eq ["stable"]
  end

  it "supports protocols in which the server sends first" do
    greeting = Backends.greeting("220 hello\r\n")
    expect(connect(started(percent: 100, canary: greeting.address)).read(11)).to eq "220 hello\r\n"
  end
end
