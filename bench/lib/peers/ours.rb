# frozen_string_literal: true

module Bench
  # The tree this file is in.
  class Ours < Peer
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
      env = { "BENCH_BACKEND" => setting.backend.to_s, "BENCH_LOG" => (setting.log ? "1" : nil) }
      config = File.join(CONFIGS, "#{setting.config}.rb")
      [[*ruby, "-c", config, "-h", "127.0.0.1", "-p", setting.port.to_s], env]
    end

    private

    def ruby
      ["ruby", "-I#{File.join(ROOT, "lib")}", File.join(ROOT, "exe/proxymachine")]
    end
  end

  Peer.register("ours", Ours.new)
end
