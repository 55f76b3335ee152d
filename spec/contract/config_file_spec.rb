# frozen_string_literal: true

# CONTRACT 1: a config file is plain Ruby that the executable loads.
RSpec.describe "Config file:" do
  answering = 'proxy { |data| { :close => "config says #{data}" } }'

  it "finds no gem loaded that only some configs need" do
    proxy = ProxyProcess.start('proxy { { :close => $LOADED_FEATURES.join("\n") } }')
    # Ruby has built-in features without a directory: set.rb, since 4.0.
    loaded = ask("hi", proxy).lines.grep(%r{/}).map { |path| File.basename(path.chomp, ".*") }
    expect(loaded).to include "optparse", "logger"
    expect(loaded & %w[json fileutils ostruct forwardable openssl tempfile tmpdir timeout set]).to be_empty
  end

  it "is loaded from the path of -c" do
    expect(ask("hi", ProxyProcess.start(answering))).to eq "config says hi"
  end

  it "may have a path relative to the working directory", :process_title do
    Dir.mktmpdir do |dir|
      File.write(File.join(dir, "routes.rb"), answering)
      proxy = ProxyProcess.start("", args: %w[-c routes.rb -h 127.0.0.1 -p 0], chdir: dir)
      expect(ask("hi", proxy)).to eq "config says hi"
      expect(proxy.title).to include " - routes 127.0.0.1:"
    end
  end

  it "gives the process its file name without .rb", :process_title do
    proxy = ProxyProcess.start(answering, name: "git-router.rb")
    expect(proxy.title).to match(/\Aproxymachine \S+ - git-router 127\.0\.0\.1:#{proxy.port} - /)
  end

  it "may have another extension, which stays in the process name", :process_title do
    proxy = ProxyProcess.start(answering, name: "routes.conf")
    expect(proxy.title).to include " - routes.conf 127.0.0.1:"
    expect(ask("hi", proxy)).to eq "config says hi"
  end

  it "may have no extension", :process_title do
    proxy = ProxyProcess.start(answering, name: "routes")
    expect(proxy.title).to include " - routes 127.0.0.1:"
    expect(ask("hi", proxy)).to eq "config says hi"
  end

  it "may load neighbouring files by __FILE__, require_relative and $LOAD_PATH" do
    Dir.mktmpdir do |dir|
      File.write(File.join(dir, "one.rb"), "ONE = 'one'")
      File.write(File.join(dir, "two.rb"), "TWO = 'two'")
      File.write(File.join(dir, "three.rb"), "THREE = 'three'")
      File.write(File.join(dir, "config.rb"), <<~'RUBY')
        require File.expand_path("../one", __FILE__)
        require_relative "two"
        $LOAD_PATH.unshift File.dirname(__FILE__)
        require "three"
        proxy { |data| { :close => [ONE, TWO, THREE].join(" ") } }
      RUBY
      proxy = ProxyProcess.start("", args: ["-c", File.join(dir, "config.rb"), "-h", "127.0.0.1", "-p", "0"])
      expect(ask("hi", proxy)).to eq "one two three"
    end
  end

  it "may define top-level methods, classes and constants that the block uses" do
    proxy = ProxyProcess.start(<<~'RUBY')
      GREETING = "hello"
      class Names
        def self.lookup(data); data.upcase; end
      end
      def punctuate(text) text + "!" end
      proxy { |data| { :close => punctuate("#{GREETING} #{Names.lookup(data)}") } }
    RUBY
    expect(ask("bob", proxy)).to eq "hello BOB!"
  end

  it "may set environment variables for the block" do
    proxy = ProxyProcess.start(<<~RUBY, env: { "SPEC_GIVEN" => "given" })
      ENV["SPEC_SET"] = "set"
      proxy { |data| { :close => ENV.values_at("SPEC_GIVEN", "SPEC_SET").join(" ") } }
    RUBY
    expect(ask("?", proxy)).to eq "given set"
  end

  it "may use YAML, Socket and Logger without requiring them, as with 1.2.4" do
    proxy = ProxyProcess.start(<<~'RUBY')
      ROUTES = YAML.load("alice: one")
      NAME = Socket.gethostname
      QUIET = Logger.new("/dev/null")
      proxy { |data| { :close => "#{ROUTES[data]} #{NAME.class} #{QUIET.class}" } }
    RUBY
    expect(ask("alice", proxy)).to eq "one String Logger"
  end

  it "may require libraries for its lookups" do
    proxy = ProxyProcess.start(<<~RUBY)
      require "set"
      require "json"
      require "net/http"
      require "timeout"
      KNOWN = Set.new(%w[alice])
      proxy { |data| { :close => JSON.dump("known" => KNOWN.include?(data)) } }
    RUBY
    expect(ask("alice", proxy)).to eq '{"known":true}'
  end
end
