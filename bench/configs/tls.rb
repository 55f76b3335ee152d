# frozen_string_literal: true

# The config of the TLS benchmarks: TLS ends at the listener, and everything goes to one backend. Beside it a listener
# without TLS.

LOGGER.level = Logger::ERROR

CERTIFICATES = certificates(ENV.fetch("BENCH_CERTIFICATE"))

listen "127.0.0.1:#{ENV.fetch("BENCH_PORT")}", tls: CERTIFICATES
listen "127.0.0.1:#{ENV.fetch("BENCH_PLAIN_PORT")}"

backend = "127.0.0.1:#{ENV.fetch("BENCH_BACKEND")}"

proxy { { remote: backend } }
