# frozen_string_literal: true

require "json"
require "net/http"

# What a proxy with the setting `admin` says at that address.
module Admin
  module_function

  # Where that is, as the log says it.
  def uri(proxy, path = "/")
    URI.join(Eventually.eventually { proxy.log[%r{Metrics and status on (http://\S+)$}, 1] }, path)
  end

  # A Net::HTTPResponse.
  def request(proxy, path, method: "Get", **headers)
    uri = uri(proxy, path)
    headers = headers.transform_keys(&:to_s)
    Net::HTTP.start(uri.host, uri.port, read_timeout: Eventually::DEADLINE) do |http|
      http.request(Net::HTTP.const_get(method).new(uri.request_uri, headers))
    end
  end

  def get(proxy, path)
    answer = request(proxy, path)
    raise "#{path}: #{answer.code} #{answer.body}" unless answer.is_a?(Net::HTTPOK)

    answer.body.force_encoding(Encoding::UTF_8)
  end

  # The whole answer at a Unix socket.
  def at(socket, path)
    UNIXSocket.open(socket) do |connection|
      connection.write("GET #{path} HTTP/1.0\r\n\r\n")
      connection.read
    end
  end

  def status(proxy)
    JSON.parse(get(proxy, "/status.json"))
  end
end
