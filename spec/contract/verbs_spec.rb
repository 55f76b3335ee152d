# frozen_string_literal: true

# CONTRACT 1: the three verbs of 1.x, in every place and form of call.
RSpec.describe "Config verbs:" do
  def answer_of(config)
    ask("x", ProxyProcess.start(config))
  end

  describe "proxy" do
    it "accepts a block" do
      expect(answer_of("proxy { |data| { :close => 'block' } }")).to eq "block"
    end

    it "accepts a lambda" do
      expect(answer_of("router = lambda { |data| { :close => 'lambda' } }\nproxy(&router)")).to eq "lambda"
    end

    it "accepts a method" do
      expect(answer_of("def route(data) { :close => 'method' } end\nproxy(&method(:route))")).to eq "method"
    end

    it "accepts the method of an object, which keeps its self" do
      expect(answer_of(<<~RUBY)).to eq "of an object x"
        class Router
          def initialize; @name = "of an object"; end
          def route(data) { :close => "\#{@name} \#{data}" } end
        end
        proxy(&Router.new.method(:route))
      RUBY
    end

    it "works inside a module" do
      expect(answer_of("module Routes\n  proxy { |data| { :close => name } }\nend")).to eq "Routes"
    end

    it "works inside a class" do
      expect(answer_of("class Routes\n  proxy { |data| { :close => name } }\nend")).to eq "Routes"
    end

    it "works inside a method" do
      expect(answer_of(<<~RUBY)).to eq "installed"
        class Routes
          def initialize(word) @word = word end
          def install
            proxy { |data| { :close => @word } }
          end
        end
        Routes.new("installed").install
      RUBY
    end

    it "is a public method of every object" do
      expect(answer_of("'any object'.proxy { |data| { :close => 'public' } }")).to eq "public"
    end

    it "applies the last call" do
      expect(answer_of("proxy { |d| { :close => 'first' } }\nproxy { |d| { :close => 'last' } }")).to eq "last"
    end
  end

  describe "proxy, called again while the server runs," do
    running(:proxy) do
      ProxyProcess.start(<<~'RUBY')
        generation = 0
        route = lambda do
          mine = generation += 1
          proxy { |data| data.end_with?("?") ? { :close => "generation #{mine}" } : { :noop => true } }
        end
        trap("USR2") { route.call; warn "generation #{generation} is there" }
        route.call
      RUBY
    end

    def reload
      known = proxy.stderr.scan(/^generation (\d+) is there$/).size
      proxy.signal("USR2")
      eventually { proxy.stderr.scan(/^generation (\d+) is there$/).size > known }
    end

    def generation(answer)
      answer[/\d+/].to_i
    end

    it "applies to the next connection, for example from a trap that reloads the routes" do
      before = generation(ask("?"))
      reload
      expect(ask("?")).to eq "generation #{before + 1}"
    end

    it "applies to the next chunk of an undecided connection" do
      before = generation(ask("?"))
      client = connect.write("wait")
      proxy.await(/noop/)
      reload
      expect(client.write("?").read_all).to eq "generation #{before + 1}"
    end
  end

  %w[proxy_connect_error proxy_inactivity_error].each do |verb|
    describe verb do
      running(:failing) { Backends.closing }
      running(:silent) { Backends.silent }

      # Causes the failure of the callback and returns the line that the callback writes.
      def callback_output(verb, config)
        answer = { remote: failing.address }
        answer = { remote: silent.address, inactivity_timeout: 0.1 } if verb == "proxy_inactivity_error"
        proxy = ProxyProcess.start("$stdout.sync = true\nproxy { |data| #{answer} }\n#{config}")
        ask("x", proxy)
        eventually { proxy.stdout[/^callback.*$/] }
      end

      def remote(verb)
        verb == "proxy_connect_error" ? failing.address : silent.address
      end

      it "accepts a block" do
        expect(callback_output(verb, "#{verb} { |remote| puts \"callback \#{remote}\" }"))
          .to eq "callback #{remote(verb)}"
      end

      it "accepts a lambda" do
        expect(callback_output(verb, "#{verb}(&lambda { |remote| puts \"callback \#{remote}\" })"))
          .to eq "callback #{remote(verb)}"
      end

      it "accepts a method, inside a module" do
        expect(callback_output(verb, <<~RUBY)).to eq "callback #{remote(verb)}"
          module Failures
            def self.note(remote) puts "callback \#{remote}" end
            #{verb}(&method(:note))
          end
        RUBY
      end

      it "applies the last call" do
        expect(callback_output(verb, "#{verb} { |r| puts 'callback first' }\n#{verb} { |r| puts 'callback last' }"))
          .to eq "callback last"
      end
    end
  end
end
