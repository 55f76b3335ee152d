# frozen_string_literal: true

require "rbconfig"
require "tmpdir"
require_relative "status/backends"
require_relative "status/clients"

module Pictures
  # Takes screenshots of the status page of a running ProxyMachine, after a minute of traffic.
  class StatusPage
    ROOT = File.expand_path("../../..", __dir__)
    CONFIG = File.join(__dir__, "status", "edge.rb")
    LAST_SECTION = "#remotes"
    SECONDS = 62 # The curves show the last minute.

    # Yields each color scheme and the PNG.
    def shoot(&block)
      backends = Backends.new
      serve do |url|
        clients = Clients.new
        sleep SECONDS
        take_screenshots(url, &block)
      ensure
        clients&.stop
      end
    ensure
      backends&.stop
    end

    private

    def serve
      Dir.mktmpdir do |dir|
        log = "#{dir}/log"
        pid = Process.spawn(RbConfig.ruby, "-I", "#{ROOT}/lib", "#{ROOT}/exe/proxymachine", "-c", CONFIG,
                            "-h", Clients::HOST, "-p", Clients::WEB.to_s, out: log, err: %i[child out])
        yield address(log)
      ensure
        Process.kill(:KILL, pid) && Process.wait(pid) if pid
      end
    end

    def address(log)
      Eventually.eventually { File.read(log)[%r{Metrics and status on (http://\S+)$}, 1] }
    rescue StandardError
      raise "no status page:\n#{File.read(log)}"
    end

    def take_screenshots(url)
      browser = Browser.new
      %w[light dark].each do |scheme|
        browser.visit(url, width: SCREENSHOT_WIDTH, height: 900, scheme: scheme)
        yield scheme, browser.screenshot(height: bottom(browser))
      end
    ensure
      browser&.stop
    end

    def bottom(browser)
      browser.evaluate("document.querySelector('#{LAST_SECTION}').getBoundingClientRect().bottom").ceil + 24
    end
  end
end
