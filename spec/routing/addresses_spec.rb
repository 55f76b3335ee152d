# frozen_string_literal: true

# IPv6 and source addresses: in listeners, remotes, log lines and PROXY headers.
RSpec.describe "Addresses:" do
  running(:naming) do
    Backend.new do |session|
      session.read # A close with unread bytes would be a reset.
      session.write(session.socket.remote_address.inspect_sockaddr)
    end
  end

  def routed(answer, **options)
    ask("hello", ProxyProcess.start("proxy { |data| #{answer.inspect} }", **options))
  end

  it ":local_host sets the source address" do
    expect(routed({ remote: naming.address, local_host: "127.0.0.9" })).to match(/\A127\.0\.0\.9:\d+\z/)
    expect(routed({ remote: [refused_address, naming.address], local_host: "127.0.0.8" }))
      .to start_with "127.0.0.8:"
  end

  it ":local_host may have a port" do
    free = TCPServer.open("127.0.0.9", 0) { |server| server.local_address.ip_port }
    expect(routed({ remote: naming.address, local_host: "127.0.0.9:#{free}" })).to eq "127.0.0.9:#{free}"
  end

  it "a :local_host of another machine is reported once" do
    proxy = ProxyProcess.start("proxy { #{{ remote: naming.address, local_host: "192.0.2.1", retries: 1 }.inspect} }")
    expect(ask("hello", proxy)).to eq ""
    expect(proxy.settle.lines.grep(/Cannot connect/)).to match [/WARN Cannot connect to \S+: Cannot assign requested/]
  end

  describe "IPv6" do
    before(:context) do
      TCPServer.open("::1", 0).close
    rescue SystemCallError => e
      skip "there is no IPv6 here (#{e.message})"
    end

    running(:six) { Backends.once("six", host: "::1") }
    running(:echoing) do
      Backend.new(host: "::1") do |session|
        session.read
        session.write(session.socket.remote_address.inspect_sockaddr)
      end
    end
    running(:proxy) do
      ProxyProcess.start("proxy { |data, client| data == 'route' ? #{"[::1]:#{six.port}".inspect} : " \
                         "{ :close => [client.ip, client.local_ip].inspect } }", args: %w[-h ::1 -p 0])
    end

    def connect_six(proxy)
      Client.new(proxy.port, host: "::1")
    end

    it "works for a listener, in the block and in the log, there without brackets" do
      client = connect_six(proxy)
      expect(client.write("hello").read_all).to eq '["::1", "::1"]'
      proxy.await("INFO Accepted ::1:#{client.socket.local_address.ip_port}")
      expect(client.address).to start_with "::1:"
    end

    it "a dual-stack listener reports an IPv4 client by its IPv4 address" do
      proxy = ProxyProcess.start("proxy { |_, client| { :close => [client.ip, client.local_ip].inspect } }",
                                 args: %w[-h :: -p 0])
      expect(ask("x", proxy)).to eq '["127.0.0.1", "127.0.0.1"]'
      expect(connect_six(proxy).write("x").read_all).to eq '["::1", "::1"]'
      proxy.await(/INFO Accepted 127.0.0.1:/)
    end

    it "may be listened on beside IPv4 on the same port, in any order" do
      [%w[0.0.0.0 [::]], %w[[::] 0.0.0.0]].each do |hosts|
        port = free_port
        proxy = ProxyProcess.start("proxy { |_, client| { :close => client.listener } }",
                                   args: hosts.flat_map { |host| ["--bind", "#{host}:#{port}"] })
        expect(ask("x", proxy)).to eq "0.0.0.0:#{port}"
        expect(connect_six(proxy).write("x").read_all).to eq "[::]:#{port}"
      end
    end

    it "a reload does not silently close a dual-stack listener for IPv4" do
      port = free_port
      block = "proxy { |_, client| { :close => client.listener } }"
      proxy = ProxyProcess.start("listen '0.0.0.0:#{port}'\nlisten '[::]:#{port}'\n#{block}", args: [])
      File.write(proxy.config_path, "listen '[::]:#{port}'\n#{block}")
      proxy.signal("HUP")
      proxy.await(/ERROR Cannot reload .*: cannot listen on \[::\]:#{port}: Address already in use\./)
      expect(ask("x", proxy)).to eq "0.0.0.0:#{port}"
    end

    it "works for a remote, with and without brackets" do
      expect(connect_six(proxy).write("route").read_all).to eq "six:route"
      expect(routed("::1:#{six.port}")).to eq "six:hello"
    end

    it "works for :local_host, with and without brackets and port" do
      remote = "[::1]:#{echoing.port}"
      free = free_port
      expect(routed({ remote: remote, local_host: "::1" })).to start_with "[::1]:"
      expect(routed({ remote: remote, local_host: "[::1]:#{free}" })).to eq "[::1]:#{free}"
    end

    it "works in both versions of the PROXY protocol" do
      versions = { 1 => /\Asix:PROXY TCP6 ::1 ::1 \d+ \d+\r\nx\z/n,
                   2 => /\Asix:\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24(\0{15}\x01){2}....x\z/mn }
      versions.each do |version, header|
        config = "proxy { { :remote => '[::1]:#{six.port}', :proxy_protocol => #{version} } }"
        proxy = ProxyProcess.start(config, args: %w[-h ::1 -p 0])
        expect(connect_six(proxy).write("x").read_all).to match header
      end
    end

    it "works for a trusted network" do
      config = "listen '[::1]:0', :proxy_protocol => ['::1/128']\nproxy { |_, client| { :close => client.to_s } }"
      proxy = ProxyProcess.start(config, args: [])
      expect(connect_six(proxy).write("PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\nx").read_all).to eq "2001:db8::1:1"
    end
  end
end
