# frozen_string_literal: true

require "open3"
require "rubygems/package"

# A gem file installed into an empty GEM_HOME, beside which only what the system itself brings is visible.
class InstalledGem
  ENVIRONMENT = { "GEM_PATH" => nil, "RUBYLIB" => nil, "RUBYOPT" => nil, "BUNDLE_GEMFILE" => nil }.freeze

  # Runs a command; returns its output.
  def self.run(*command, chdir:, **environment)
    output, status = Open3.capture2e(environment.transform_keys(&:to_s), *command, chdir: chdir, stdin_data: "")
    raise "#{command.join(" ")} failed:\n#{output}" unless status.success?

    output
  end

  attr_reader :home

  # path:: all of PATH that installing and running the gem may see
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

  # Runs its executable; returns the output.
  def run(*arguments)
    self.class.run(executable, *arguments, chdir: @dir, **@environment)
  end

  # The sum of the sizes of all its files, in bytes.
  def size
    files.sum { |file| File.size(file) }
  end

  def files
    Dir.glob(File.join(home, "**", "*")).select { |file| File.file?(file) }
  end

  # The proxy from there, with the config in its examples.
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
  it "tells its version" do
    expect(gem.run("--version")).to eq("proxymachine 2.0.0\n")
  end

  it "runs the demo" do
    cats = Backends.http("cats")
    proxy = gem.demo("cats=#{cats.address}")

    expect(Curl.get("http://127.0.0.1:#{proxy.port}/cats/tom")).to eq "cats: GET /cats/tom HTTP/1.1, 0 bytes"
    proxy.signal("TERM")
    expect(proxy.wait).to be_success
  end
end
