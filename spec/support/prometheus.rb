# frozen_string_literal: true

require "json"
require "net/http"
require "open3"

# A real Prometheus that scrapes one server every half second.
class Prometheus < Child
  def initialize(target)
    dir = Dir.mktmpdir("proxymachine-prometheus")
    config = File.join(dir, "prometheus.yml")
    File.write(config, <<~YAML)
      global: { scrape_interval: 500ms, scrape_timeout: 500ms }
      scrape_configs: [{ job_name: proxymachine, static_configs: [{ targets: ["#{target.host}:#{target.port}"] }] }]
    YAML
    @port = TCPServer.open("127.0.0.1", 0) { |server| server.local_address.ip_port }
    super("prometheus", "--config.file=#{config}", "--web.listen-address=127.0.0.1:#{@port}",
          "--storage.tsdb.path=#{dir}/data", dir: dir)
  end

  # Returns the value of the first series that an expression matches, or nil.
  def query(expression)
    uri = URI("http://127.0.0.1:#{@port}/api/v1/query?#{URI.encode_www_form(query: expression)}")
    JSON.parse(Net::HTTP.get(uri)).dig("data", "result", 0, "value", 1)&.to_f
  rescue SystemCallError, JSON::ParserError
    nil # Prometheus is not up yet.
  end

  # Returns promtool's output for alerting rules, and its exit status.
  def check(rules)
    path = File.join(dir, "rules.yml")
    File.write(path, rules)
    Open3.capture2e("promtool", "check", "rules", path)
  end
end
