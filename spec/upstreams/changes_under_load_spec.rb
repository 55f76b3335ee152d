# frozen_string_literal: true

# Servers and configurations that change while clients come: no client may notice.
RSpec.describe "Upstream changes under load:" do
  let(:servers) { Array.new(3) { |index| Backends.once(index.to_s) } }

  def config(name, servers, options = "")
    list = servers.map { |server| server.address.inspect }.join(", ")
    "upstream :#{name}, #{list}#{options}\nproxy { { :remote => :#{name}, :key => rand(1000) } }\n"
  end

  # Sends requests from several threads until the block has returned, but a few at least. Returns the replies.
  def load(proxy)
    is_over = false
    threads = Array.new(4) do
      Thread.new { [].tap { |replies| replies << ask("x", proxy) until is_over && replies.size > 5 } }
    end
    yield
    is_over = true
    threads.flat_map(&:value)
  end

  def reload(proxy, text)
    File.write(proxy.config_path, text)
    proxy.mark_log
    proxy.signal("HUP")
    proxy.await(/Reloaded /)
  end

  it "a reload renames, shrinks and grows an upstream" do
    proxy = ProxyProcess.start(config("db", servers))
    replies = load(proxy) do
      reload(proxy, config("db", servers.first(1)))
      reload(proxy, config("web", servers.rotate))
      reload(proxy, config("db", servers, ", :max_connections => 2, :queue_timeout => 30"))
    end
    expect(replies.size).to be > 10
    expect(replies.grep_v(/\A[012]:x\z/)).to be_empty
    expect(proxy.errors).to be_empty
  end

  it "ten thousand servers, some of them twice, are declared and served" do
    good = servers[0]
    list = Array.new(10_000) { |index| "127.#{index / 65_536}.#{index / 256 % 256}.#{index % 256}:1" }
    proxy = ProxyProcess.start(<<~RUBY)
      upstream :db, #{good.address.inspect}, #{good.address.inspect}, *#{list.inspect}, :balance => :ordered
      proxy { :db }
    RUBY
    expect(ask("x", proxy)).to eq "0:x"
  end
end
