# frozen_string_literal: true

require "json"

class ProxyMachine
  class CLI
    # The client of a file that the setting +record+ has written: the text beside the file says who it was.
    # @api private
    module RecordedClient
      # @param file [String] a path, or - for standard input
      # @param config [Config]
      # @return [Hash] +:ip+, +:port+, +:listener+ and +:tls+, as far as they are known
      def self.of(file, config)
        return {} unless file.end_with?(".bin")

        about = JSON.parse(File.read("#{file.delete_suffix("bin")}json"))
        listener = config.listeners.to_a.find { |known| known.values_at(:name, :address).include?(about["listener"]) }
        { ip: about["ip"], port: about["port"], listener: listener&.then { |found| found[:name] || found[:address] },
          tls: about["tls"] ? { sni: about["sni"] } : nil }
      rescue SystemCallError, JSON::ParserError
        {} # The file stands alone.
      end
    end
  end
end
