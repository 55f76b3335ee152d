# frozen_string_literal: true

# Ends TLS for the domains of customers, whose certificates and backends are in Redis. A new customer needs no reload.
# Needs the gem redis (Debian: ruby-redis).
#
#   TLS_REDIS=redis://127.0.0.1:6379 proxymachine -c examples/tls_by_customer.rb -p 8443
#   cat chain.pem key.pem | redis-cli -x HSET customer:blue.test pem
#   redis-cli HSET customer:blue.test remote 10.0.0.1:80
#   curl --cacert chain.pem --connect-to ::127.0.0.1:8443 https://blue.test/

require "redis"

# Look-ups wait for Redis. The other threads serve other clients meanwhile.
threads 4

URL = ENV.fetch("TLS_REDIS", "redis://127.0.0.1:6379")

# The fatal TLS alerts for a name without a certificate, and for a failure of ours.
UNRECOGNIZED_NAME = "\x15\x03\x01\x00\x02\x02\x70".b
INTERNAL_ERROR = "\x15\x03\x01\x00\x02\x02\x50".b

# A connection for each thread.
def redis
  Thread.current[:redis] ||= Redis.new(url: URL, timeout: 0.5)
end

proxy do |data, client|
  next redis.hget("customer:#{client.tls.sni}", "remote") || :close if client.tls

  case hello = ProxyMachine::TLS.client_hello(data)
  when :incomplete then :noop
  when nil         then :close
  else
    pem = hello.sni && redis.hget("customer:#{hello.sni}", "pem")
    # A text is parsed at its first use, and found again at the next.
    pem ? { tls: certificates(pem: pem) } : { close: UNRECOGNIZED_NAME }
  end
rescue Redis::BaseError, ProxyMachine::ConfigError => e
  LOGGER.warn "No certificate for #{client}: #{e.message}"
  client.tls ? :close : { close: INTERNAL_ERROR }
end
