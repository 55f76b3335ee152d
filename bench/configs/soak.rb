# frozen_string_literal: true

# The config of `rake soak`. The first line of a connection controls the block: ROUTE SLEEP_MS NUMBER HOLD.

backends = ENV.fetch("SOAK_BACKENDS").split(",").map { |port| "127.0.0.1:#{port}" }
refusing = "127.0.0.1:#{ENV.fetch("SOAK_REFUSING")}"
nonsense = [nil, true, 42, [], :other, "no port", "host:0", Object, { remote: 7 }, { remote: "host:99999" }]

proxy do |data|
  head = data[/\A[^\n]*\n/] or next { noop: true }
  route, sleep_ms, number, hold = head.split
  sleep sleep_ms.to_i / 1000.0 unless sleep_ms == "0"
  backend = backends[number.to_i % backends.size]
  case route
  when "join" then { remote: backend }
  when "name" then { remote: backend.sub("127.0.0.1", "localhost") }
  when "hold" then data.bytesize < head.bytesize + hold.to_i ? { noop: true } : { remote: backend }
  when "greet" then { remote: backend, reply: "hello #{number}\n", data: data.sub("greet", "grown") }
  when "hurry" then { remote: backend, inactivity_timeout: 0.2 }
  when "refuse" then { remote: refusing }
  when "words" then { close: "words for #{number}\n" * 50 }
  when "shut" then { close: true }
  when "raise" then raise "soak #{number}"
  when "odd" then nonsense[number.to_i % nonsense.size]
  end
end

proxy_connect_error { |remote| LOGGER.info "soak: no connection with #{remote}" }
proxy_inactivity_error { |remote| raise "soak callback #{remote}" }
