# frozen_string_literal: true

module Bench
  # The tree this file is in.
  class Ours < Peer
    # @param flags [Array<String>] of the command line
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
      env = { "BENCH_BACKEND" => setting.backend.to_s, "BENCH_LOG" => (setting.log ? "1" : nil) }
      config = File.join(CONFIGS, "#{setting.config}.rb")
      [[*ruby, "-c", config, "-h", "127.0.0.1", "-p", setting.port.to_s, *@flags], env]
    end

    private

    def ruby
      ["ruby", "-I#{File.join(ROOT, "lib")}", File.join(ROOT, "exe/proxymachine")]
    end
  end

  Peer.register("ours", Ours.new)
  Peer.register("ours-admin", Ours.new(%w[--admin 0]))
end
