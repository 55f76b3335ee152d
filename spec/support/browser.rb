# frozen_string_literal: true

require "io/nonblock"
require "io/wait"
require "json"
require "base64"

# A real Chromium without a window. It is told what to do by the DevTools protocol, over two pipes: JSON texts, each
# ended by a zero byte.
class Browser
  include Owned

  # Something went wrong in the browser.
  class Failure < StandardError; end

  DEADLINE = 30
  OPTIONS = %w[--headless --remote-debugging-pipe --disable-gpu --hide-scrollbars --no-first-run --disable-extensions
               --disable-background-networking --disable-component-update --disable-dev-shm-usage].freeze

  attr_reader :trouble

  def initialize
    @dir = Dir.mktmpdir("proxymachine-browser")
    theirs, @orders = IO.pipe
    @answers, their_answers = IO.pipe
    # As Ruby makes pipes, Chromium takes "nothing yet" for the end.
    [theirs, their_answers].each { |pipe| pipe.nonblock = false }
    # Chromium's own sandbox does not work for root, whose browser only sees pages of the specs.
    options = OPTIONS + (Process.uid.zero? ? ["--no-sandbox"] : []) + ["--user-data-dir=#{@dir}"]
    @pid = Process.spawn("chromium", *options, "about:blank", 3 => theirs, 4 => their_answers, in: File::NULL,
                                                              out: File::NULL, err: File::NULL, pgroup: true)
    [theirs, their_answers].each(&:close)
    @number = 0
    @trouble = []
    @buffer = +""
    own
    attach
  end

  def mark; end

  # Looks at a page on a screen of that width, until it is loaded.
  def visit(url, width: 1280, height: 1400, scheme: "light", scripts: true)
    @trouble.clear
    order("Emulation.setDeviceMetricsOverride", width: width, height: height, deviceScaleFactor: 1, mobile: width < 500)
    order("Emulation.setEmulatedMedia", features: [{ name: "prefers-color-scheme", value: scheme }])
    order("Emulation.setScriptExecutionDisabled", value: !scripts)
    order("Page.navigate", url: url)
    Eventually.eventually { evaluate("document.readyState") == "complete" && evaluate("location.href") == url }
    self
  end

  # What a JavaScript expression is, in the page.
  def evaluate(expression)
    answer = order("Runtime.evaluate", expression: expression, returnByValue: true)
    raise Failure, answer.inspect if answer["exceptionDetails"]

    answer.dig("result", "value")
  end

  # What the first element shows that a CSS selector finds.
  def text(selector)
    evaluate("document.querySelector(#{selector.to_json})?.innerText")
  end

  # A PNG of the whole page.
  def screenshot
    Base64.decode64(order("Page.captureScreenshot", captureBeyondViewport: true)["data"])
  end

  def stop
    disown
    Process.kill(:KILL, -@pid)
    Process.wait(@pid)
    [@orders, @answers].each(&:close)
    FileUtils.rm_rf(@dir)
  end

  private

  def attach
    page = order("Target.createTarget", url: "about:blank")["targetId"]
    @session = order("Target.attachToTarget", targetId: page, flatten: true)["sessionId"]
    %w[Page Runtime Log].each { |domain| order("#{domain}.enable") }
  end

  def order(method, **parameters)
    message = { id: @number += 1, method: method, params: parameters, sessionId: @session }.compact
    @orders.write("#{message.to_json}\0")
    loop do
      answer = JSON.parse(take)
      note(answer)
      next unless answer["id"] == @number
      raise Failure, "#{method}: #{answer["error"]}" if answer["error"]

      return answer["result"]
    end
  end

  # What the page, or the browser about it, complains of.
  def note(event)
    case event["method"]
    when "Runtime.exceptionThrown" then @trouble << event.dig("params", "exceptionDetails", "text")
    when "Log.entryAdded" then @trouble << event.dig("params", "entry", "text")
    end
  end

  def take
    until (message = @buffer.slice!(/\A[^\0]*\0/))
      @answers.wait_readable(DEADLINE) or raise Failure, "the browser says nothing"
      @buffer << @answers.readpartial(1 << 20)
    end
    message.chomp("\0").force_encoding(Encoding::UTF_8)
  end
end
