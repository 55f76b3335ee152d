# frozen_string_literal: true

module Bench
  # This tree.
  class Ours < Peer
    # @param flags [Array<String>] further command line flags
    def initialize(flags = [])
      super()
      @flags = flags
    end

    def missing
      return if Dir[File.join(ROOT, "lib/proxymachine/proxymachine.{so,bundle}")].any?

      "not built: run `rake compile`"
    end

    def version
      File.read(File.join(ROOT, "lib/proxymachine/version.rb"))[/VERSION = "(.*?)"/, 1]
    rescue SystemCallError
      nil
    end

    def command(setting)
      return encrypted(setting) if setting.config.start_with?("tls")

      env = { "BENCH_BACKEND" => setting.backend.to_s, "BENCH_LOG" => (setting.log ? "1" : nil) }
      config = File.join(CONFIGS, "#{setting.config}.rb")
      [[*ruby, "-c", config, "-h", "127.0.0.1", "-p", setting.port.to_s, *@flags], env]
    end

    private

    # The clients' port is that of TLS, unless they are the ones beside the handshakes.
    def encrypted(setting)
      ports = setting.config == "tls" ? [setting.port, setting.side_port] : [setting.side_port, setting.port]
      kind = setting.config == "tls" ? :ecdsa : :rsa
      env = { "BENCH_BACKEND" => setting.backend.to_s, "BENCH_CERTIFICATE" => Identity.file(kind),
              "BENCH_PORT" => ports.first.to_s, "BENCH_PLAIN_PORT" => ports.last.to_s }
      [[*ruby, "-c", File.join(CONFIGS, "tls.rb"), *@flags], env]
    end

    def ruby
      ["ruby", "-I#{File.join(ROOT, "lib")}", File.join(ROOT, "exe/proxymachine")]
    end
  end

  Peer.register("ours", Ours.new)
  Peer.register("ours-admin", Ours.new(%w[--admin 0]))
end
