# frozen_string_literal: true

# The config of bench/crowd: clients of 127.1.0.N go to the backend's address 127.2.0.N, since the proxy has 28,232
# local ports for each address.

LOGGER.level = Logger::WARN

$stdout.syswrite("config loaded\n")
port = ENV.fetch("BENCH_BACKEND")

proxy { |_, client| { remote: "127.2.0.#{client.ip.rpartition(".").last}:#{port}" } }
