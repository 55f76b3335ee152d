# frozen_string_literal: true

# The config of the routing benchmarks, for ProxyMachine 1.2.4 and 2.0: a regular expression and a Hash.

LOGGER.level = Logger::ERROR unless ENV["BENCH_LOG"]

backend = "127.0.0.1:#{ENV.fetch("BENCH_BACKEND")}"

proxy do |data|
  case data
  when %r{\AGET /alpha/}
    { remote: backend }
  when %r{\AGET /slow/}
    sleep 0.1
    { remote: backend }
  else
    { noop: true }
  end
end
