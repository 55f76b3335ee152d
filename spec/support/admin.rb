# frozen_string_literal: true

require "json"
require "net/http"

# Requests to the address that the setting `admin` opens.
module Admin
  module_function

  # The URI of a path, with the address that the log names.
  def uri(proxy, path = "/")
    URI.join(Eventually.eventually { proxy.log[%r{Metrics and status on (http://\S+)$}, 1] }, path)
  end

  # Returns a Net::HTTPResponse.
  def request(proxy, path, method: "Get", **headers)
    uri = uri(proxy, path)
    headers = headers.transform_keys(&:to_s)
    Net::HTTP.start(uri.host, uri.port, read_timeout: Eventually::DEADLINE) do |http|
      http.request(Net::HTTP.const_get(method).new(uri.request_uri, headers))
    end
  end

  def get(proxy, path)
    response = request(proxy, path)
    raise "#{path}: #{response.code} #{response.body}" unless response.is_a?(Net::HTTPOK)

    response.body.force_encoding(Encoding::UTF_8)
  end

  # Returns the whole response, head and body, from a Unix socket.
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
