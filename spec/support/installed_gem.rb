# frozen_string_literal: true

require "open3"
require "rubygems/package"

# A gem file installed into an empty GEM_HOME. Only the gems of the system are visible beside it.
class InstalledGem
  ENVIRONMENT = { "GEM_PATH" => nil, "RUBYLIB" => nil, "RUBYOPT" => nil, "BUNDLE_GEMFILE" => nil }.freeze

  # Runs a command and returns its output.
  def self.run(*command, chdir:, **environment)
    output, status = Open3.capture2e(environment.transform_keys(&:to_s), *command, chdir: chdir, stdin_data: "")
    raise "#{command.join(" ")} failed:\n#{output}" unless status.success?

    output
  end

  attr_reader :home

  # path:: the PATH for installing and running the gem
  def initialize(file, path: ENV.fetch("PATH"), **environment)
    @dir = Dir.mktmpdir("proxymachine-gem")
    @home = File.join(@dir, "home")
    @environment = { **ENVIRONMENT, "GEM_HOME" => @home, "PATH" => path }
    install = [RbConfig.ruby, "-e", 'require "rubygems/gem_runner"; Gem::GemRunner.new.run(ARGV)',
               "install", "--local", "--no-document", file]
    self.class.run(*install, chdir: @dir, **@environment.merge(environment))
  end

  def remove
    FileUtils.rm_rf(@dir)
  end

  # Runs the gem's executable and returns its output.
  def run(*arguments)
    self.class.run(executable, *arguments, chdir: @dir, **@environment)
  end

  # The extension had 2.9 MB without the cryptography of TLS (AWS-LC) and has 7.4 MB with it, the other files 1.9 MB.
  def small?
    unpacked = files.reject { |file| file.end_with?(".gem") } # RubyGems keeps the gem itself, too
    extensions, others = unpacked.partition { |file| file.match?(/\.(so|bundle)\z/) }
    extensions.all? { |file| File.size(file) < 8_000_000 } && others.sum { |file| File.size(file) } < 2_500_000
  end

  def files
    Dir.glob(File.join(home, "**", "*")).select { |file| File.file?(file) }
  end

  # Starts the gem's proxy with the config in its examples.
  def demo(routes)
    command = [executable]
    config = Dir.glob(File.join(home, "gems", "proxymachine-*", "examples", "demo.rb")).first
    Class.new(ProxyProcess) { define_singleton_method(:command) { command } }
         .start("", args: ["-c", config, "-h", "127.0.0.1", "-p", "0"],
                    env: @environment.merge("DEMO_ROUTES" => routes))
  end

  private

  def executable
    File.join(home, "bin", "proxymachine")
  end
end

RSpec.shared_examples "an installed gem" do
  let(:version) { File.read("#{ProxyProcess::ROOT}/lib/proxymachine/version.rb")[/VERSION = "(.*)"/, 1] }

  it "prints its version" do
    expect(gem.run("--version")).to eq("proxymachine #{version}\n")
  end

  it "runs the demo" do
    cats = Backends.http("cats")
    proxy = gem.demo("cats=#{cats.address}")

    expect(Curl.get("http://127.0.0.1:#{proxy.port}/cats/tom")).to eq "cats: GET /cats/tom HTTP/1.1, 0 bytes"
    proxy.signal("TERM")
    expect(proxy.wait).to be_success
  end
end
