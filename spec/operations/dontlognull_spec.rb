# frozen_string_literal: true

# The setting `dontlognull`: clients that leave without having sent a byte are counted, but not logged.
RSpec.describe "dontlognull:" do
  attr_reader :proxy

  let(:access) { File.join(proxy.dir, "log") }

  def start(more = "", *arguments)
    @proxy = ScriptedProxy.start("access_log LOG_FILE\nadmin 0\n#{more}",
                                 args: ["-h", "127.0.0.1", "-p", "0", *arguments])
  end

  def left
    Admin.get(proxy, "/metrics")[/^proxymachine_connections_ended_total\{.*code="CR"\} (\d+)$/, 1].to_i
  end

  # A client that leaves without a byte, by FIN or by RST.
  def leave
    clients = [connect(proxy), connect(proxy)]
    addresses = clients.map(&:address)
    clients.first.stop
    clients.last.reset
    eventually { expect(left).to be >= 2 }
    addresses
  end

  # Asks with data: only such a client leaves lines, after those of earlier clients.
  def converse
    client = connect(proxy).write("{ :close => 'x' }\n")
    client.read_all
    eventually { expect(File.read(access)).to include client.address }
    proxy.await(answer_log_line(client, { close: "x" }))
    client
  end

  {
    "by the verb" => -> { start("dontlognull true\n") },
    "by the flag" => -> { start("", "--dontlognull") },
    "with a decision_timeout" => -> { start("dontlognull true\ndecision_timeout 60\n") },
    "with proxy_accept" => -> { start("dontlognull true\nproxy_accept { :noop }\n") }
  }.each do |how, starting|
    describe how do
      before { instance_exec(&starting) }

      it "a client that sends nothing has no line, and is counted" do
        addresses = leave
        converse
        addresses.each { |address| expect(proxy.log + File.read(access)).not_to include address }
      end

      it "a client that sends something has all lines, in order" do
        client = converse
        lines = proxy.lines.grep(/#{client.address}/)
        expect(lines).to eq ["INFO Accepted #{client.address}", answer_log_line(client, { close: "x" })]
      end
    end
  end

  it "a client that is decided or timed out without a byte is logged" do
    start("dontlognull true\ndecision_timeout 0.05\n")
    client = connect(proxy)
    client.read_all
    proxy.await("INFO #{client.address} no decision after 0.05s. Closing.")
    expect(proxy.lines).to include "INFO Accepted #{client.address}"
  end

  it "without the setting, each client is logged" do
    start
    address = connect(proxy).tap(&:finish).address
    proxy.await("INFO Accepted #{address}")
    eventually { expect(File.read(access)).to include address }
  end

  it "takes only true and false" do
    child = ProxyProcess.new("dontlognull 1\nproxy { :close }")
    expect(child.wait).not_to be_success
    expect(child.stderr).to include "dontlognull takes true or false, not 1"
  end
end
