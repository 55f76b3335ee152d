# frozen_string_literal: true

class ProxyMachine
  # What a client's first bytes ask for, by protocol. Each sniffer takes all bytes received so far and answers a
  # frozen value, +:incomplete+ if more bytes are needed to tell, or nil if this is not the protocol. They work
  # anywhere, in a +proxy+ block or without any server: the first use of one loads the native extension.
  %i[TLS HTTP Postgres SOCKS SSH Git].each { |name| autoload name, "#{__dir__}/extension" }
end
