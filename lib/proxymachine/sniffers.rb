# frozen_string_literal: true

class ProxyMachine
  # The sniffers parse a client's first bytes, one module per protocol. Each takes all bytes received so far and returns
  # a frozen value, +:incomplete+ while the message may continue, or nil for another protocol. They work in a +proxy+
  # block and without any server. The first use of one loads the native extension.
  %i[TLS HTTP Postgres SOCKS SSH Git].each { |name| autoload name, "#{__dir__}/extension" }
end
