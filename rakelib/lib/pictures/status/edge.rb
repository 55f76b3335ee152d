# frozen_string_literal: true

# The config whose status page the screenshots show.

admin "127.0.0.1:0"
decision_timeout 5
slow_block 0.08
listen "127.0.2.1:8432", name: "database"
listen "127.0.2.1:8379", name: "cache"

DATABASE = "127.0.1.40:5432"
CACHE = ["127.0.1.50:6379", "127.0.1.51:6379"].freeze
SITES = { "web" => "127.0.1.10:8080", "api" => "127.0.1.20:8080", "media" => "127.0.1.30:8080",
          "old" => "127.0.1.60:8080" }.freeze

proxy do |data|
  next :noop unless data.include?("\n")

  site = data[%r{\A\w+ /(\w+)}, 1]
  sleep 0.1 if site == "api" && rand < 0.004 # a slow look-up
  SITES.key?(site) ? { remote: SITES[site], retries: 1, retry_delay: 0.05 } : :close
end

proxy(:database) { |data| data.include?("\n") ? DATABASE : :noop }
proxy(:cache) { |data| data.include?("\n") ? { remote: CACHE } : :noop }
