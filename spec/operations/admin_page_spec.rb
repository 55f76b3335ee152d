# frozen_string_literal: true

require "net/http"
require "zlib"

# The status page in a real browser.
RSpec.describe "Admin page:" do
  running(:browser) { Browser.new }
  running(:sample) { SampleAdmin.new }

  after { expect(browser.errors).to be_empty }

  # The number of distinct bytes in the pixels of a screenshot. A blank page has only a few.
  def variety(png)
    expect(png).to start_with "\x89PNG\r\n\x1A\n".b
    chunks = []
    offset = 8
    while offset < png.bytesize
      size, type = png.byteslice(offset, 8).unpack("Na4")
      chunks << png.byteslice(offset + 8, size) if type == "IDAT"
      offset += size + 12
    end
    Zlib.inflate(chunks.join).bytes.uniq.size
  end

  # Elements wider than the viewport.
  def overflow
    browser.evaluate("document.documentElement.scrollWidth - innerWidth")
  end

  # The brightness of the background, 0 to 255.
  def brightness
    browser.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)").sum / 3
  end

  it "shows the state in text and charts" do
    browser.visit(sample.url)
    expect(browser.text("header")).to include("example", "running", "ProxyMachine 2.0.0", "Ruby 3.3.8", "pid 4711")
    expect(browser.text("#now")).to include("Connections", "peak 1,893 of 32,704", "Errors / s")
    expect(browser.text("#latencies")).to include("In the block", "Connecting", "median", "99 %")
    expect(browser.text("#listeners")).to include("web", "0.0.0.0:443")
    expect(browser.text("#ends")).to include("SC", "no backend could be reached")
    expect(browser.text("#remotes")).to include("reports.example:8443")
    expect(browser.text("#failures")).to include("reports.example:8443 refused", "35 times in", "3mv-939")
    expect(browser.evaluate("document.querySelector('#ends a[href=\"#failures-SC\"]').hash")).to eq "#failures-SC"
    expect(browser.text("#slow")).to include("192.0.2.17:50113", "10.0.0.2:443")
    expect(browser.text("#settings")).to include("max_connections", "32704")
    expect(browser.evaluate("document.querySelectorAll('svg.bars rect').length")).to eq 4 * 17
    expect(variety(browser.screenshot)).to be > 50
  end

  it "follows the colour scheme, light or dark" do
    expect(brightness_in("light")).to be > 200
    expect(brightness_in("dark")).to be < 60
  end

  def brightness_in(scheme)
    browser.visit(sample.url, scheme: scheme)
    expect(variety(browser.screenshot)).to be > 50
    brightness
  end

  [360, 768, 1024, 1280, 1920].each do |width|
    it "fits a viewport of #{width} pixels without horizontal scrolling" do
      browser.visit(sample.url, width: width)
      expect(browser.evaluate("innerWidth")).to eq width
      expect(overflow).to eq 0
    end
  end

  it "works and refreshes without JavaScript" do
    eventually do # charts need a few seconds of data
      browser.visit(sample.url, scripts: false)
      browser.evaluate("document.querySelectorAll('polyline.line').length") == 6
    end
    expect(browser.text("#listeners")).to include("web", "0.0.0.0:443")
    expect(browser.evaluate("document.querySelector('meta[http-equiv=refresh]')?.content")).to eq "5"
  end

  it "escapes a name that looks like markup" do
    browser.visit(sample.url)
    expect(browser.text("#listeners")).to include "</script><b title='x\">\\&"
    expect(browser.evaluate("document.querySelectorAll('b').length")).to eq 0
  end

  it "loads nothing from other hosts" do
    browser.visit(sample.url)
    page = Net::HTTP.get(URI(sample.url))
    links = page.scan(/(?:src|href)="([^"]*)"/).flatten
    expect(links.grep_v(/\A(?:data:|#)/)).to eq %w[metrics status.json healthz readyz]
    asked = browser.evaluate("performance.getEntriesByType('resource').map((entry) => entry.name)")
    expect(asked.uniq - [sample.url]).to be_empty
  end

  describe "of a real proxy" do
    running(:echo) { Backends.echo }
    running(:proxy) { ScriptedProxy.start("admin 0") }

    it "updates without a reload" do
      browser.visit(Admin.uri(proxy).to_s)
      browser.evaluate("window.witness = 'the same page'")
      client = connect.write(ScriptedProxy.route_to(echo)).tap { |c| c.read(10) }
      eventually { expect(browser.text("#now .value")).to eq "1" }
      eventually { expect(browser.evaluate("document.title")).to eq "1 · config" }
      client.close
      eventually { expect(browser.text("#now .value")).to eq "0" }
      expect(browser.evaluate("window.witness")).to eq "the same page"
    end

    it "shows no data of clients and backends" do
      secret = "secret-#{SecureRandom.hex(8)}"
      client = connect.write("{ remote: #{echo.address.inspect} } # #{secret}\n")
      expect(client.read(10)).not_to be_empty
      %w[/ /metrics?remotes=1 /status.json /status.txt].each do |path|
        expect(Admin.get(proxy, path)).not_to include secret
      end
    end

    it "shows that the server no longer answers" do
      mortal = ScriptedProxy.start("admin 0")
      browser.visit(Admin.uri(mortal).to_s)
      mortal.signal("KILL")
      eventually { expect(browser.text(".state")).to eq "no answer" }
      browser.visit("about:blank") # clears the errors of failed requests
    end
  end
end
