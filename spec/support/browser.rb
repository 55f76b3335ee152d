# frozen_string_literal: true

require "io/nonblock"
require "io/wait"
require "json"

# A headless Chromium, driven by the DevTools protocol over two pipes: JSON messages, each ended by a zero byte.
class Browser
  include ResourceTracking

  class Failure < StandardError; end

  DEADLINE = 30
  OPTIONS = %w[--headless --remote-debugging-pipe --disable-gpu --hide-scrollbars --no-first-run --disable-extensions
               --disable-background-networking --disable-component-update --disable-dev-shm-usage].freeze

  attr_reader :errors

  # @param further [Array<String>] further options of Chromium
  def initialize(*further)
    @dir = Dir.mktmpdir("proxymachine-browser")
    commands, @commands = IO.pipe
    @responses, responses = IO.pipe
    # Chromium takes EAGAIN on a non-blocking pipe, which is Ruby's default, for the end of the pipe.
    [commands, responses].each { |pipe| pipe.nonblock = false }
    # Chromium's sandbox does not work for root. The browser only opens pages of the specs.
    options = OPTIONS + (Process.uid.zero? ? ["--no-sandbox"] : []) + further + ["--user-data-dir=#{@dir}"]
    @pid = Process.spawn("chromium", *options, "about:blank", 3 => commands, 4 => responses, in: File::NULL,
                                                              out: File::NULL, err: File::NULL, pgroup: true)
    [commands, responses].each(&:close)
    @number = 0
    @errors = []
    @buffer = +""
    track
    attach
  end

  # Opens a page in a viewport of this width and waits until it is loaded.
  def visit(url, width: 1280, height: 1400, scheme: "light", scripts: true)
    @errors.clear
    command("Emulation.setDeviceMetricsOverride", width: width, height: height, deviceScaleFactor: 1,
                                                  mobile: width < 500)
    command("Emulation.setEmulatedMedia", features: [{ name: "prefers-color-scheme", value: scheme }])
    command("Emulation.setScriptExecutionDisabled", value: !scripts)
    command("Page.navigate", url: url)
    Eventually.eventually { evaluate("document.readyState") == "complete" && evaluate("location.href") == url }
    self
  end

  # Returns the value of a JavaScript expression in the page.
  def evaluate(expression)
    response = command("Runtime.evaluate", expression: expression, returnByValue: true)
    raise Failure, response.inspect if response["exceptionDetails"]

    response.dig("result", "value")
  end

  # Returns the text of the first element that a CSS selector matches.
  def text(selector)
    evaluate("document.querySelector(#{selector.to_json})?.innerText")
  end

  # Returns a PNG of the whole page, or of its top.
  def screenshot(height: nil)
    clip = height && { x: 0, y: 0, width: evaluate("innerWidth"), height: height, scale: 1 }
    command("Page.captureScreenshot", captureBeyondViewport: true, **{ clip: clip }.compact)["data"].unpack1("m")
  end

  def stop
    untrack
    Process.kill(:KILL, -@pid)
    Process.wait(@pid)
    [@commands, @responses].each(&:close)
    FileUtils.rm_rf(@dir)
  end

  private

  def attach
    page = command("Target.createTarget", url: "about:blank")["targetId"]
    @session = command("Target.attachToTarget", targetId: page, flatten: true)["sessionId"]
    %w[Page Runtime Log].each { |domain| command("#{domain}.enable") }
  end

  def command(method, **parameters)
    message = { id: @number += 1, method: method, params: parameters, sessionId: @session }.compact
    @commands.write("#{message.to_json}\0")
    loop do
      response = JSON.parse(read_message)
      record_error(response)
      next unless response["id"] == @number
      raise Failure, "#{method}: #{response["error"]}" if response["error"]

      return response["result"]
    end
  end

  # Records the page's exceptions and the browser's log entries.
  def record_error(event)
    case event["method"]
    when "Runtime.exceptionThrown" then @errors << event.dig("params", "exceptionDetails", "text")
    when "Log.entryAdded" then @errors << event.dig("params", "entry", "text")
    end
  end

  def read_message
    until (message = @buffer.slice!(/\A[^\0]*\0/))
      @responses.wait_readable(DEADLINE) or raise Failure, "no response from the browser"
      @buffer << @responses.readpartial(1 << 20)
    end
    message.chomp("\0").force_encoding(Encoding::UTF_8)
  end
end
