# frozen_string_literal: true

# The counts of handshakes on the status page, in `proxymachine top`, and in /status.json.
RSpec.describe "TLS handshakes:" do
  before(:context) do
    @dir = Dir.mktmpdir("proxymachine-tls")
    CertificateAuthority.shared.issue("a.example").write(File.join(@dir, "a.pem"))
  end

  after(:context) { FileUtils.rm_rf(@dir) }

  def start(*arguments)
    config = <<~RUBY
      CERTIFICATES = certificates "#{@dir}/a.pem"
      proxy { |_, client| client.tls ? { :close => "said: hello\\n" } : { :tls => CERTIFICATES } }
    RUBY
    ProxyProcess.start(config, args: ["-h", "127.0.0.1", "-p", "0", "--admin", "127.0.0.1:0", *arguments])
  end

  # Returns what /status.json counts, as [[side, version, resumed, ok, count]].
  def counted(proxy)
    counts = Admin.status(proxy).dig("totals", "tls", "handshakes")
    counts.map { |kind| kind.values_at("side", "version", "is_resumed", "is_ok", "count") }.sort_by(&:to_s)
  end

  it "are counted by version, and whether they were resumed or failed" do
    proxy = start
    session = File.join(@dir, "session")
    OpensslClient.new(proxy.port, "-tls1_2", "-sess_out", session)
    expect(OpensslClient.new(proxy.port, "-tls1_2", "-sess_in", session)).to be_resumed
    OpensslClient.new(proxy.port, "-tls1_3")
    connect(proxy).write("\x16\x03\x01\x00\x02no").read_all
    expect(counted(proxy)).to eq [["client", "", false, false, 1], ["client", "TLSv1.2", false, true, 1],
                                  ["client", "TLSv1.2", true, true, 1], ["client", "TLSv1.3", false, true, 1]]
    expect(Admin.get(proxy, "/status.txt")).to match(/^TLS handshakes with .*\nclients +3 +1 +1 +2 +1$/)
    expect(Admin.get(proxy, "/")).to include "TLS handshakes"
  end

  it "have no table without a handshake" do
    proxy = start
    expect(Admin.get(proxy, "/status.txt")).not_to include "TLS handshakes"
    expect(Admin.get(proxy, "/")).not_to include "TLS handshakes"
  end

  it "have failed if decision_timeout cuts them off" do
    proxy = start("--decision-timeout", "0.3")
    client = connect(proxy).write("\x16\x03\x01\x02\x00\x01")
    expect(client.read_all).to eq ""
    eventually { expect(counted(proxy)).to eq [["client", "", false, false, 1]] }
  end
end
