# frozen_string_literal: true

RSpec.describe "Loading of the sniffers:" do
  use = "begin; p ProxyMachine::TLS.client_hello(''); rescue ProxyMachine::Error => e; puts e.message; end"

  def output(source, *load_path)
    Child.new(RbConfig.ruby, "-w", *load_path, "-e", source).then { |child| child.wait && child.stdout + child.stderr }
  end

  it "they work without a server, and are loaded at their first use" do
    expect(RubyScript.output("require 'proxymachine'\n#{use}")).to eq ":incomplete\n"
  end

  it "loading prints no warning, in either order" do
    lib = "-I#{ProxyProcess::ROOT}/lib"
    expect(output("require 'proxymachine'; #{use}", lib)).to eq ":incomplete\n"
    expect(output("require 'proxymachine'; require 'proxymachine/extension'; #{use}", lib)).to eq ":incomplete\n"
  end

  it "each use without the extension raises an error" do
    Dir.mktmpdir do |dir|
      FileUtils.cp_r("#{ProxyProcess::ROOT}/lib", dir)
      FileUtils.rm(Dir["#{dir}/lib/proxymachine/proxymachine.*"])
      expect(output("require 'proxymachine'; #{use}; #{use}", "-I#{dir}/lib").lines)
        .to match [/\Athe native extension is not built \(.*\): run `rake compile`, or install the gem again\n\z/] * 2
    end
  end

  it "concurrent first uses load them once" do
    expect(RubyScript.output(<<~RUBY)).to eq "[:incomplete]\n"
      require "proxymachine"
      threads = Array.new(8) { Thread.new { ProxyMachine::HTTP.request("GET") } }
      p threads.map(&:value).uniq
    RUBY
  end
end
