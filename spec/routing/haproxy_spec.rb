# frozen_string_literal: true

require "openssl"

# The PROXY protocol with a real HAProxy as client and as backend.
RSpec.describe "HAProxy:" do
  describe "as client" do
    running(:proxy) do
      ProxyProcess.start(<<~RUBY, args: [])
        listen "127.0.0.1:0", :proxy_protocol => ["127.0.0.0/8"]
        proxy do |data, client|
          tlvs = client.tlvs.map { |type, value| format("%#04x=%s", type, value.inspect) }
          { :close => [data, client, "\#{client.local_ip}:\#{client.local_port}", *tlvs].join("|") }
        end
      RUBY
    end

    running(:haproxy) do
      @dir = Dir.mktmpdir("proxymachine-haproxy")
      behind = ->(options) { "server us 127.0.0.1:#{proxy.port} #{options}" }
      Haproxy.new(<<~TEXT, dir: @dir)
        listen v1
          bind fd@v1
          #{behind["send-proxy"]}
        listen v2
          bind fd@v2
          #{behind["send-proxy-v2"]}
        listen tlvs
          bind fd@tlvs ssl crt #{Haproxy.certificate("blue.example", @dir)}
          unique-id-format spec-%ci
          #{behind["send-proxy-v2-ssl-cn proxy-v2-options ssl,authority,unique-id,crc32c"]}
      TEXT
    end

    %i[v1 v2].each do |version|
      it "passes the client's address by #{version}" do
        client = connect_from("127.0.0.5", haproxy.port(version))
        expect(client.write("hello").read_all)
          .to eq "hello|127.0.0.5:#{client.socket.local_address.ip_port}|127.0.0.1:#{haproxy.port(version)}"
      end
    end

    it "passes TLS version, host name and request id by TLVs of version 2" do
      client = connect_from("127.0.0.6", haproxy.port(:tlvs))
      tls = OpenSSL::SSL::SSLSocket.new(client.socket)
      tls.hostname = "blue.example"
      tls.connect.write("hello")
      data, address, _, *tlvs = tls.read.split("|")
      expect([data, address]).to eq ["hello", "127.0.0.6:#{client.socket.local_address.ip_port}"]
      expect(tlvs).to include('0x02="blue.example"', '0x05="spec-127.0.0.6"', /\A0x03=/, /\A0x20=.*TLSv1/)
    end

    it "sends health checks that are recognized" do
      checked = ProxyProcess.start(<<~RUBY, args: [])
        listen "127.0.0.1:0", :proxy_protocol => ["127.0.0.1"]
        proxy { |data, client| { :close => "\#{data} \#{client}" } }
      RUBY
      checking = { "v1" => "send-proxy", "v2" => "send-proxy-v2" }.map do |name, option|
        "listen #{name}\n  bind fd@#{name}\n" \
          "  server us 127.0.0.1:#{checked.port} #{option} check inter 50ms fall 1000\n"
      end
      front = Haproxy.new(checking.join)
      eventually { checked.lines.grep(/Accepted/).size > 10 }
      %i[v1 v2].each do |version|
        client = connect_from("127.0.0.5", front.port(version))
        expect(client.write("hello").read_all).to eq "hello 127.0.0.5:#{client.socket.local_address.ip_port}"
      end
      expect(checked.lines.grep(/\A(WARN|ERROR)/)).to be_empty
    end
  end

  describe "as backend" do
    running(:haproxy) do
      Haproxy.new(<<~TEXT)
        frontend telling
          mode http
          bind fd@telling accept-proxy
          http-request return status 200 content-type text/plain lf-string "%[src]:%[src_port] %[dst]:%[dst_port] %[path]"
      TEXT
    end

    [1, 2].each do |version|
      it "accepts version #{version} with the request after it" do
        proxy = ProxyProcess.start("proxy { { :remote => '#{haproxy.address(:telling)}', " \
                                   ":proxy_protocol => #{version} } }")
        told = Curl.get("--interface", "127.0.0.5", "http://127.0.0.1:#{proxy.port}/page")
        expect(told).to match(%r{\A127\.0\.0\.5:\d+ 127\.0\.0\.1:#{proxy.port} /page\z})
      end

      it "takes version #{version} without addresses for a connection of the proxy itself" do
        Dir.mktmpdir do |dir|
          ProxyProcess.start("listen 'unix:#{dir}/pm.sock'\nproxy { { :remote => '#{haproxy.address(:telling)}', " \
                             ":proxy_protocol => #{version} } }")
          told = Curl.get("--unix-socket", "#{dir}/pm.sock", "http://local/page")
          expect(told).to match(%r{\A127\.0\.0\.1:\d+ 127\.0\.0\.1:#{haproxy.port(:telling)} /page\z})
        end
      end
    end

    it "receives the client's address from another HAProxy in front" do
      proxy = ProxyProcess.start(<<~RUBY, args: [])
        listen "127.0.0.1:0", :proxy_protocol => ["127.0.0.1"]
        proxy { { :remote => "#{haproxy.address(:telling)}", :proxy_protocol => 2 } }
      RUBY
      front = Haproxy.new("listen front\n  bind fd@front\n  server us 127.0.0.1:#{proxy.port} send-proxy-v2\n")
      expect(Curl.get("--interface", "127.0.0.5", "http://127.0.0.1:#{front.port(:front)}/page"))
        .to match(%r{\A127\.0\.0\.5:\d+ 127\.0\.0\.1:#{front.port(:front)} /page\z})
    end
  end
end
