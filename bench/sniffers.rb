# frozen_string_literal: true

# The cost of one sniffer call in nanoseconds of CPU time: `ruby bench/sniffers.rb`, after `rake compile`.
# Prints the best of ROUNDS, which other load of the machine affects least.

require_relative "../lib/proxymachine"

CORPUS = File.expand_path("../ext/sniff/fuzz/corpus", __dir__)
CALLS = 300_000
ROUNDS = 5
ANOTHER_PROTOCOL = "\xFFfoo".b

SNIFFERS = {
  "tls/openssl" => ->(data) { ProxyMachine::TLS.client_hello(data) },
  "http/curl" => ->(data) { ProxyMachine::HTTP.request(data) },
  "postgres/psql" => ->(data) { ProxyMachine::Postgres.startup(data) },
  "socks/curl_socks5h" => ->(data) { ProxyMachine::SOCKS.request(data) },
  "ssh/openssh" => ->(data) { ProxyMachine::SSH.banner(data) },
  "git/fetch" => ->(data) { ProxyMachine::Git.request(data) }
}.freeze

def nanoseconds(sniff, data)
  times = Array.new(ROUNDS) do
    start = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
    CALLS.times { sniff.call(data) }
    Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) - start
  end
  (times.min * 1e9 / CALLS).round
end

puts "#{RUBY_DESCRIPTION}\n| capture | found | incomplete | nil |\n|---|---|---|---|"
SNIFFERS.each do |name, sniff|
  data = File.binread(File.join(CORPUS, name))
  costs = [data, data[0...-1], ANOTHER_PROTOCOL].map { |bytes| nanoseconds(sniff, bytes) }
  puts "| #{name} (#{data.bytesize} bytes) | #{costs.join(" | ")} |"
end
puts "An empty call takes #{nanoseconds(->(data) { data }, "")}."
