# frozen_string_literal: true

# Serves SOCKS4 to any address that a client requests. Listen only on trusted networks.
#
#   proxymachine -c examples/socks4.rb -h 127.0.0.1 -p 1080
#   curl --socks4 127.0.0.1:1080 http://example.com/

SOCKS4_GRANTED = "\0\x5a\0\0\0\0\0\0"
SOCKS4_REJECTED = "\0\x5b\0\0\0\0\0\0"
LONGEST_USER_NAME = 255

# A request has version, command, port, address, and a user name that ends with a zero byte. Bytes after the request
# are for the backend.
proxy do |data|
  version, command, port, *address, rest = data.unpack("CCnC4a*")
  return { close: SOCKS4_REJECTED } if version != 4
  return { noop: true } if data.size < 9
  return { close: SOCKS4_REJECTED } if command != 1

  user, zero, rest = rest.partition("\0")
  return { close: SOCKS4_REJECTED } if user.size > LONGEST_USER_NAME
  return { noop: true } if zero.empty?

  { remote: "#{address.join(".")}:#{port}", reply: SOCKS4_GRANTED, data: rest }
end
