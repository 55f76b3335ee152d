# frozen_string_literal: true

require_relative "../../lib/proxymachine/errors"
require_relative "../../lib/proxymachine/safe_inspect"
require_relative "../../lib/proxymachine/config/listeners"

RSpec.describe ProxyMachine::Config::Listeners do
  subject(:listeners) { described_class.new }

  def error(...)
    listeners.add(...)
    nil
  rescue ProxyMachine::ConfigError => e
    e.message
  end

  it "listens on port 5432 of every address by default" do
    expect(listeners.to_a).to eq [{ address: "0.0.0.0:5432" }]
  end

  it "has the command line's addresses before those of the config" do
    listeners.add("127.0.0.1:2")
    listeners.add_fixed("127.0.0.1:1")
    expect(listeners.to_a("127.0.0.1:0").map { |listener| listener[:address] })
      .to eq ["127.0.0.1:0", "127.0.0.1:1", "127.0.0.1:2"]
    expect(listeners.command_line_only.to_a).to eq [{ address: "127.0.0.1:1" }]
  end

  it "has the options of a listener" do
    listeners.add("unix:/run/a", name: :local, proxy_protocol: ["10.0.0.0/8"], mode: 0o660, user: 0, group: 0)
    expect(listeners.to_a).to eq [{ address: "unix:/run/a", name: "local", trusted_proxies: ["10.0.0.0/8"], mode: 0o660,
                                    user: 0, group: 0 }]
  end

  it "finds users and groups by name" do
    listeners.add("unix:/run/a", user: "root", group: Etc.getgrgid(0).name)
    expect(listeners.to_a.first).to include(user: 0, group: 0)
  end

  it "uses systemd's sockets if no listener is added" do
    listeners.default_to_systemd([[3, "systemd:web"], [4, "127.0.0.1:80"]])
    expect(listeners.to_a).to eq [{ address: "systemd:web", name: "web" }]
  end

  it "rejects invalid options" do
    expect(error("a:1", 5)).to eq 'listen "a:1": options are keys and values, not 5'
    expect(error("a:1", speed: 1)).to eq 'listen "a:1": no such option: :speed'
    expect(error("a:1", mode: 0o600)).to eq 'listen "a:1": :mode is for the file of a Unix socket'
    expect(error("unix:/a", mode: 0o1000)).to start_with "listen: :mode takes a number such as 0660, not "
    expect(error("a:1", proxy_protocol: [])).to start_with "listen: :proxy_protocol takes the networks "
    expect(error("unix:/a", user: "no-such-user")).to eq 'listen: there is no user "no-such-user"'
    expect(error("a:1", name: 5)).to start_with "the name of a listener is a Symbol such as :local, not 5"
  end

  it "prints the ports that the system chose" do
    sockets = [[3, "127.0.0.1:0", 4000], [4, "127.0.0.1:0", 4000], [5, "unix:/run/a", nil]]
    expect(described_class.addresses(sockets)).to eq ["127.0.0.1:4000", "unix:/run/a"]
  end
end
