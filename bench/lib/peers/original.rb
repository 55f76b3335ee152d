# frozen_string_literal: true

module Bench
  # ProxyMachine 1.2.4, from the folder in an environment variable.
  class Original < Ours
    VARIABLE = "PROXYMACHINE_1_2_4"

    def missing
      return "set #{VARIABLE} to the folder of its sources (and install eventmachine)" unless folder
      return "no bin/proxymachine in #{VARIABLE}" unless File.exist?(File.join(folder, "bin/proxymachine"))

      "the gem eventmachine is not installed" unless system("ruby", "-e", "require 'eventmachine'", err: File::NULL)
    end

    def supports?(config)
      !config.start_with?("tls")
    end

    def version
      "1.2.4"
    end

    private

    def folder
      ENV.fetch(VARIABLE, nil)
    end

    def ruby
      ["ruby", "-W0", "-I#{File.join(folder, "lib")}", File.join(folder, "bin/proxymachine")]
    end
  end

  Peer.register("1.2.4", Original.new)
end
