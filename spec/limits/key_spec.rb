# frozen_string_literal: true

# The limits by key: `:limit` and `:over` in an answer.
RSpec.describe "Limits by key:" do
  running(:echo) { Backends.echo }
  running(:proxy) do
    ScriptedProxy.start(<<~RUBY)
      admin 0
      ECHO = #{echo.address.inspect}
      class Tongue; def to_s() raise "no words" end end
      class Number; def to_s() 42 end end
      class Tenant; def to_s() "tenant-7" end end
      class Limits < Hash; end
      def limited(limit, **more) { :remote => ECHO, :data => "ok", :limit => limit, **more } end
    RUBY
  end

  after { eventually { Admin.status(proxy).dig("limits", "keys").zero? } }

  # Opens a connection by an answer, and waits until the backend has it.
  def hold(source)
    connect.write("#{source}\n").tap { |client| expect(client.read(2)).to eq "ok" }
  end

  def over(source)
    ask("#{source}\n")
  end

  it "as many connections as the limit says, and one more when one has ended" do
    held = Array.new(3) { hold("limited({ 'a' => 3 })") }
    client = connect
    client.write("limited({ 'a' => 3 })\n")
    expect(client.read_all).to eq ""
    proxy.await("INFO #{client.address} a has its 3 connections. Closing.")
    held << hold("limited({ 'a' => 4 })")
    held << hold("limited({ 'b' => 1 })")
    held.each(&:close)
    eventually { Admin.status(proxy).dig("limits", "keys").zero? }
    hold("limited({ 'a' => 1 })").close
  end

  it ":over is said to who is over, and :reply is not" do
    held = hold("limited({ 'a' => 1 })")
    {
      "'Too many.'" => "Too many.", "'Zu viele für Bär'" => "Zu viele für Bär".b, "''" => "", "nil" => "",
      "42" => "42", "'x' * 300_000" => "x" * 300_000, "true" => ""
    }.each do |words, expected|
      expect(over("limited({ 'a' => 1 }, :over => #{words}, :reply => 'welcome')")).to eq expected
    end
    held.close
  end

  it "several keys count all or none" do
    held = hold("limited({ 'user 7' => 1, 'database 7' => 5 })")
    expect(over("limited({ 'database 7' => 5, 'user 7' => 1, 'c' => 1 }, :over => 'full')")).to eq "full"
    held2 = hold("limited({ 'database 7' => 2, 'c' => 1 })")
    expect(over("limited({ 'database 7' => 2 }, :over => 'full')")).to eq "full"
    [held, held2].each(&:close)
  end

  it "keys are compared by their to_s" do
    held = hold("limited({ 'tenant-7' => 1, 7 => 1, nil => 1, [1, 2] => 1 })")
    ["'tenant-7'", ":'tenant-7'", "Tenant.new", "'7'", "7", "''", "nil", "'[1, 2]'"].each do |key|
      expect(over("limited({ #{key} => 1 }, :over => 'full')")).to eq("full"), key
    end
    expect(over("limited({ 'x' => 9, :x => 1, 'tenant-7' => 1 }, :over => 'full')")).to eq "full"
    two = hold("limited({ 'x' => 9, :x => 2 })")
    other = hold("limited({ 'x' => 2 })")
    expect(over("limited({ 'x' => 9, :x => 2 }, :over => 'full')")).to eq "full"
    [held, two, other].each(&:close)
  end

  it "a key may have a megabyte, any bytes, and none" do
    long = "'k' * 1_000_000"
    held = hold("limited({ #{long} => 1, \"\\xff\\0\" => 1, '' => 1 })")
    client = connect.write("limited({ #{long} => 1 })\n")
    expect(client.read_all).to eq ""
    proxy.await("INFO #{client.address} #{"k" * 100}... has its 1 connections. Closing.")
    expect(over("limited({ \"\\xff\\0\" => 1 }, :over => 'full')")).to eq "full"
    other = hold("limited({ #{long} + 'x' => 1 })")
    [held, other].each(&:close)
  end

  it "a hundred thousand keys leave no memory behind" do
    hold("limited({ 'warm' => 1 })").close
    keys = "100_000.times.to_h { |n| [n, 1] }"
    2.times { hold("limited(#{keys})").close }
    before = proxy.resident_bytes
    6.times { hold("limited(#{keys})").close }
    expect(proxy.resident_bytes - before).to be < 30_000_000
  end

  ["20", "'tenant'", "[['a', 1]]", "{ 'a' => 0 }", "{ 'a' => -1 }", "{ 'a' => 1.5 }", "{ 'a' => '20' }",
   "{ 'a' => nil }", "{ 'a' => 20, 'b' => -(2**80) }", "false", "true"].each do |value|
    it ":limit => #{value} is an invalid answer" do
      client = connect.write("limited(#{value}, :over => 'full')\n")
      expect(client.read_all).to eq ""
      proxy.await(/\AERROR #{client.address} invalid :limit .*: expected a Hash of keys and whole numbers above 0\z/)
    end
  end

  {
    "no limit" => "nil", "no key" => "{}", "a huge number" => "{ 'a' => 2**80 }",
    "a subclass of Hash" => "Limits['a', 1]"
  }.each do |what, value|
    it "#{what} is a valid :limit" do
      hold("limited(#{value})").close
    end
  end

  it "a key that raises in to_s, or has none, is the block's exception" do
    expect(over("limited({ Tongue.new => 1 })")).to eq ""
    proxy.await("ERROR RuntimeError - no words")
    expect(over("limited({ Number.new => 1 })")).to eq ""
    proxy.await(/\AERROR TypeError - /)
    expect(over("limited({ BasicObject.new => 1 })")).to eq ""
    proxy.await(/\AERROR NoMethodError - /)
  end

  it "the keys of an answer stay counted while another remote is tried" do
    proxy = ProxyProcess.start(<<~RUBY)
      proxy { { :remote => #{refused_address.inspect}, :retries => 0, :limit => { "a" => 1 }, :over => "full" } }
      proxy_connect_error { { :remote => #{echo.address.inspect}, :limit => { "a" => 1, "b" => 1 } } }
    RUBY
    held = connect(proxy).write("hi")
    expect(held.read(2)).to eq "hi"
    expect(ask("x", proxy)).to eq "full"
    held.close
    eventually { expect(connect(proxy).write("hi").read(2)).to eq "hi" }
  end

  it "a reload keeps the counts" do
    answer = ->(max) { %({ :remote => #{echo.address.inspect}, :limit => { "a" => #{max} }, :over => "full" }) }
    config = ->(max) { "proxy { #{answer[max]} }" }
    proxy = ProxyProcess.start(config[2])
    held = Array.new(2) { connect(proxy).write("hi").tap { |client| client.read(2) } }
    File.write(proxy.config_path, config[3])
    proxy.signal("HUP")
    proxy.await(/INFO Reloaded/)
    held << connect(proxy).write("hi").tap { |client| expect(client.read(2)).to eq "hi" }
    expect(ask("x", proxy)).to eq "full"
    held.each(&:close)
  end

  it "what is over is counted, recorded and shown" do
    config = %(admin 0\naccess_log LOG_FILE\nproxy { { :remote => #{echo.address.inspect}, :limit => { "<b>" => 1 } } })
    proxy = ProxyProcess.start(config)
    held = connect(proxy).write("hi").tap { |client| client.read(2) }
    2.times { ask("x", proxy) }
    expect(eventually { File.readlines(File.join(proxy.dir, "log")).then { |lines| lines if lines.size == 2 } })
      .to all(match(/ PL 0 - /))
    status = Admin.status(proxy).fetch("limits")
    over = { "name" => "<b>", "limit" => "limit", "max" => 1, "current" => 1, "closed" => 2 }
    expect(status).to include("keys" => 1, "over" => [over])
    expect(Admin.get(proxy, "/metrics")).to include('limit="limit"} 2', 'code="PL"} 2', "proxymachine_limit_keys 1\n")
    expect(Admin.get(proxy, "/")).to include "&lt;b&gt;"
    held.close
  end

  it "--route shows the keys" do
    proxy = ProxyProcess.new("proxy { { :remote => 'a:1', :limit => { 'tenant-7' => 20, :b => 3 } } }",
                             args: ["--route", __FILE__])
    expect(proxy.wait).to be_success
    expect(proxy.stdout).to include "connects to a:1, sends it what has come, at most 20 at once with tenant-7, " \
                                    "at most 3 at once with b"
  end
end
