# frozen_string_literal: true

# Serves SOCKS 4, 4a and 5 without authentication. The proxy connects to any host that it can reach, including its own,
# so listen only on trusted networks.
#
#   SOCKS_PORTS="80,443" proxymachine -c examples/socks.rb -h 127.0.0.1 -p 1080
#   curl --socks5-hostname 127.0.0.1:1080 http://example.com/

# The ports that clients may connect to.
SOCKS_PORTS = ENV.fetch("SOCKS_PORTS", "80,443").split(",").map(&:to_i)

proxy do |data|
  case said = ProxyMachine::SOCKS.request(data)
  when :incomplete then :noop
  when nil         then :close
  when ProxyMachine::SOCKS::Greeting
    said.acceptable? ? { noop: said.reply } : { close: said.reply }
  else
    next { close: said.refused(:command_not_supported) } unless said.connect?
    next { close: said.refused(:not_allowed) } unless SOCKS_PORTS.include?(said.port)

    # The success reply is sent before the connection attempt, and a failure closes the client's connection. A long
    # series of attempts would only delay that.
    { remote: said.remote, reply: said.accepted, data: data.byteslice(said.size..), retries: 1, connect_timeout: 5 }
  end
end
