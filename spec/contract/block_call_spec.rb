# frozen_string_literal: true

# CONTRACT 2: when the block is called, and with which arguments.
RSpec.describe "Proxy block call:" do
  describe "the block" do
    running(:backend) { Backends.once("backend") }
    running(:proxy) do
      ProxyProcess.start(<<~RUBY)
        inside = most = 0
        calls = Hash.new(0)
        kept = []
        proxy do |data|
          case data
          when "thread" then { :close => (Thread.current == Thread.main).to_s }
          when "alone"
            most = [most, inside += 1].max
            sleep 0.02
            inside -= 1
            { :close => most.to_s }
          when "kind" then { :close => "\#{data.class} \#{data.encoding} \#{data.frozen?}" }
          when /\\Akeep/
            kept << data
            kept.size < 3 ? { :noop => true } : { :close => kept.join("|") + kept.map(&:object_id).uniq.size.to_s }
          when /\\Achange/
            data << "!" * 100
            data.size < 120 ? { :noop => true } : { :remote => #{backend.address.inspect} }
          when /\\Acount/
            calls[data[0, 6]] += 1
            data.end_with?(".") ? { :close => calls[data[0, 6]].to_s } : { :noop => true }
          when /\\Aonce/
            calls["once"] += 1
            { :close => "decided" }
          when "calls" then { :close => calls["once"].to_s }
          else { :remote => #{backend.address.inspect} }
          end
        end
      RUBY
    end

    # Sends the chunks one by one, each after the block has answered the previous one.
    def in_chunks(*chunks)
      client = connect
      chunks.each_with_index do |chunk, index|
        client.write(chunk)
        eventually { proxy.lines.grep(/\AINFO #{client.address} /).size > index }
      end
      client
    end

    it "runs on the thread that called run" do
      expect(ask("thread")).to eq "true"
    end

    it "runs for one connection at a time" do
      clients = Array.new(10) { connect.write("alone") }
      expect(clients.map(&:read_all).uniq).to eq ["1"]
    end

    it "receives an unfrozen binary String" do
      expect(ask("kind")).to eq "String ASCII-8BIT false"
    end

    it "receives all data so far, as a new String at each call" do
      expect(in_chunks("keep", "ing ", "all").read_all).to eq "keep|keeping |keeping all3"
    end

    it "may change its String without effect on later calls or on the replay" do
      expect(in_chunks("change", " this", " and that").read_all).to eq "backend:change this and that"
    end

    it "is called once for each chunk until it decides" do
      expect(in_chunks("count ", "one ", "two ", "three.").read_all).to eq "4"
    end

    it "is not called again after its decision, whatever the client sends" do
      before = ask("calls").to_i
      client = connect.write("once")
      client.read("decided".size)
      10.times { client.write("more") }
    rescue SystemCallError
      nil # the proxy closed the connection, as it should
    ensure
      expect(ask("calls").to_i).to eq before + 1
    end

    it "is not called for a client that sends nothing" do
      client = connect
      client.finish
      expect(client.read_all).to eq ""
      eventually { expect(proxy.lines).to eq ["INFO Accepted #{client.address}"] }
      expect(proxy.errors).to eq []
    end
  end

  describe "return and break:" do
    running(:proxy) do
      ProxyProcess.start(<<~RUBY)
        proxy do |data|
          return { :close => "returned" } if data == "return"
          return :noop if data == "wait"
          return if data == "nothing"
          break { :close => "broken off" } if data == "break"
          next { :close => "next" } if data == "next"
          { :close => "the end" }
        end
      RUBY
    end

    it "the value of return is the answer" do
      expect(ask("return")).to eq "returned"
      expect(ask("next")).to eq "next"
      expect(ask("end")).to eq "the end"
      expect(proxy.errors).to eq []
    end

    it "the value of break is the answer" do
      expect(ask("break")).to eq "broken off"
    end

    it "return :noop waits for more data" do
      client = connect.write("wait")
      proxy.await("INFO #{client.address} :noop")
      expect(client.write("!").read_all).to eq "the end"
    end

    it "return without a value answers nil, which closes the connection with one ERROR line" do
      expect(ask("nothing")).to eq ""
      expect(proxy.errors).to match [/nil/]
    end
  end

  it "a lambda returns from itself" do
    proxy = ProxyProcess.start("proxy(&lambda { |data| return { :close => 'from a lambda' } })")
    expect(ask("x", proxy)).to eq "from a lambda"
  end
end
