# frozen_string_literal: true

# Certificates that have expired, or will soon: in the log, in -t, at the admin address.
RSpec.describe "Expiring certificates:" do
  day = 86_400

  before(:context) do
    @dir = Dir.mktmpdir("proxymachine-tls")
    authority = CertificateAuthority.shared
    half = day / 2 # The days that the messages name are whole.
    { "expired" => -(9 * day)..(-3 * day - half), "soon" => -day..((13 * day) + half), "hours" => -day..(5.5 * 3600),
      "early" => (2 * day + half)..(90 * day), "fine" => -day..((15 * day) + half) }
      .each { |name, valid| authority.issue("#{name}.example", valid: valid).write(file(name)) }
    authority.write(file("ca"))
    File.write(file("list"), authority.revocation_list(next_update: -(4 * day) - half))
  end

  after(:context) { FileUtils.rm_rf(@dir) }

  def file(name) = File.join(@dir, "#{name}.pem")

  def config(*names)
    paths = names.map { |name| file(name).inspect }.join(", ")
    "C = certificates #{paths}\nproxy { :close }\n"
  end

  def warnings(proxy) = proxy.settle.lines.grep(/\AWARN/)

  let(:expected) do
    { "expired" => "has expired 3 days ago: renew it.", "soon" => "expires in 13 days: renew it.",
      "hours" => "expires in 5 hours: renew it.", "early" => "is not valid yet: check the clock, or wait 2 days." }
      .map { |name, text| "Certificate #{name}.example (#{file(name)}) #{text}" }
  end

  it "are WARN lines at the start and at each reload" do
    proxy = ProxyProcess.start(config("expired", "soon", "hours", "early", "fine"))
    expect(warnings(proxy)).to match_array(expected.map { |line| "WARN #{line}" })
    File.write(proxy.config_path, config("soon", "fine"))
    proxy.mark_log
    proxy.signal("HUP")
    proxy.await(/WARN Certificate soon/)
    expect(warnings(proxy)).to eq ["WARN #{expected[1]}"]
  end

  it "are lines of -t, which succeeds" do
    check = ProxyProcess.new(config("expired", "soon", "hours", "early", "fine"), args: ["-t"])
    expect(check.wait).to be_success
    expect(check.stdout.lines(chomp: true)).to include("configuration ok", *expected.map { |line| "warning: #{line}" })
    expect(check.stdout).not_to include "fine.example"
  end

  it "are logged once with workers, by the main process" do
    proxy = ProxyProcess.new(config("soon"), args: %w[-h 127.0.0.1 -p 0 --workers 2])
    proxy.await(/Serving with 2 workers/)
    expect(proxy.lines.grep(/WARN/)).to eq ["WARN #{expected[1]}"]
    proxy.signal("HUP")
    proxy.await(/Reloaded/)
    proxy.signal("TERM")
    proxy.wait
    expect(proxy.lines.grep(/WARN/)).to eq(["WARN #{expected[1]}"] * 2)
  end

  it "are told of authorities, of what we show, and of outdated revocation lists, too" do
    authority = CertificateAuthority.new("Old Authority")
    proxy = ProxyProcess.start(<<~RUBY)
      A = authorities "#{authority.write(file("other"))}", :certificate => "#{file("soon")}", :crl => "#{file("list")}"
      proxy { :close }
    RUBY
    list = "Revocation list #{file("list")} is out of date since 4 days: get the next one."
    expect(warnings(proxy)).to eq ["WARN #{expected[1]}", "WARN #{list}"]
  end

  it "are told of the texts that a block names, once for each text" do
    proxy = ProxyProcess.start(<<~RUBY)
      TEXT = File.read("#{file("soon")}")
      proxy { |_, client| client.tls ? :close : { :tls => certificates(:pem => TEXT) } }
    RUBY
    2.times { OpensslClient.new(proxy.port) }
    expect(warnings(proxy)).to eq ["WARN Certificate soon.example (:pem) expires in 13 days: renew it."]
  end

  it "authorities that do not verify are told of once, at the start" do
    proxy = ProxyProcess.start("A = authorities :verify => false\nproxy { :close }")
    line = "WARN authorities with :verify => false trust any server: its certificate is not verified."
    expect(warnings(proxy)).to eq [line]
    proxy.mark_log
    proxy.signal("HUP")
    proxy.await(/Reloaded/)
    expect(warnings(proxy)).to be_empty
  end

  describe "at the admin address" do
    def start(*names, more: "")
      ProxyProcess.start(%(admin "127.0.0.1:0"\n#{config(*names)}#{more}))
    end

    it "metrics have the time, pages the days" do
      proxy = start("soon", "fine")
      ends = %w[soon fine].map { |name| OpenSSL::X509::Certificate.new(File.read(file(name))).not_after.to_i }
      metric = "proxymachine_certificate_not_after_seconds"
      expect(Admin.get(proxy, "/metrics").scan(/^#{metric}\{name="(.*)"\} (\d+)$/))
        .to contain_exactly(["soon.example", ends[0].to_s], ["fine.example", ends[1].to_s])
      expect(Admin.status(proxy)["certificates"]).to contain_exactly(
        { "name" => "soon.example", "file" => file("soon"), "not_after" => ends[0], "days_left" => 13 },
        { "name" => "fine.example", "file" => file("fine"), "not_after" => ends[1], "days_left" => 15 }
      )
      expect(Admin.get(proxy, "/status.txt"))
        .to match(/^certificate .*\nsoon\.example +13 days! .*\nfine\.example +15 days /)
      expect(Admin.get(proxy, "/")).to match(%r{Certificates</h2>.*soon\.example.*<span class="failed">13 days</span>}m)
    end

    it "a reload replaces them" do
      proxy = start("soon")
      File.write(proxy.config_path, %(admin "127.0.0.1:0"\n#{config("fine")}))
      proxy.signal("HUP")
      proxy.await(/Reloaded/)
      expect(Admin.status(proxy)["certificates"].map { |row| row["name"] }).to eq ["fine.example"]
    end

    it "workers show each certificate once" do
      proxy = ProxyProcess.new(%(admin "127.0.0.1:0"\n#{config("soon")}), args: %w[-h 127.0.0.1 -p 0 --workers 2])
      proxy.await(/Metrics and status/)
      eventually { expect(Admin.status(proxy)["certificates"].map { |row| row["name"] }).to eq ["soon.example"] }
    end

    it "nothing is shown without certificates" do
      proxy = ProxyProcess.start(%(admin "127.0.0.1:0"\nproxy { :close }))
      expect(Admin.get(proxy, "/metrics")).not_to match(/^proxymachine_certificate_not_after_seconds/)
      expect(Admin.get(proxy, "/status.txt") + Admin.get(proxy, "/")).not_to match(/certificate/i)
    end
  end
end
