# frozen_string_literal: true

# As route.rb, through an upstream of eight servers: eight addresses of one backend.

LOGGER.level = Logger::ERROR unless ENV["BENCH_LOG"]

servers = (1..8).map { |number| "127.2.0.#{number}:#{ENV.fetch("BENCH_BACKEND")}" }

upstream :web, servers, check: 2

proxy do |data|
  case data
  when %r{\AGET /alpha/}
    { remote: :web }
  else
    { noop: true }
  end
end
