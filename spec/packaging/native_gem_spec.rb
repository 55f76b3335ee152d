# frozen_string_literal: true

require "open3"
require_relative "../../rakelib/lib/native_gem"

# `rake native` for this Ruby, with the extension of `rake compile`.
RSpec.describe "Precompiled gem:", :slow do
  # A PATH with only Ruby, which is all that installing and running the gem needs.
  def path_without_rust
    dir = File.join(@dir, "bin")
    FileUtils.mkdir_p(dir)
    FileUtils.ln_s(RbConfig.ruby, File.join(dir, RbConfig::CONFIG["ruby_install_name"]))
    dir
  end

  before(:context) do
    skip "it is for Linux" unless RbConfig::CONFIG["host_os"].start_with?("linux")
    @dir = Dir.mktmpdir("proxymachine-gem")
    output = InstalledGem.run("ruby", "-S", "rake", "native:compile", "native:package", chdir: ProxyProcess::ROOT,
                                                                                        RUBIES: minor)
    @file = output[/^native: (\S+\.gem) for Ruby #{minor}$/, 1]
    @gem = InstalledGem.new(@file, path: path_without_rust)
  end

  after(:context) do
    @gem&.remove
    FileUtils.rm_rf(@dir) if @dir
  end

  attr_reader :gem

  def minor
    RUBY_VERSION[/\A\d+\.\d+/]
  end

  def spec
    Gem::Package.new(@file).spec
  end

  it_behaves_like "an installed gem"

  it "its platform and Ruby versions are those of its extensions" do
    expect(spec.platform.to_s).to eq("#{RbConfig::CONFIG["host_cpu"]}-linux")
    expect(spec.required_ruby_version).to eq(Gem::Requirement.new(">= #{minor}", "< #{minor.succ}.dev"))
    expect(spec.files.grep(/\.so\z/)).to eq(["lib/proxymachine/#{minor}/proxymachine.so"])
  end

  it "has no build dependency" do
    expect(spec.extensions).to be_empty
    expect(spec.runtime_dependencies.map(&:name)).to eq ["logger"]
    expect(spec.files.grep(%r{\Aext/|\ACargo})).to be_empty
  end

  it "names the glibc that its extension needs, not newer than Debian 12's" do
    library = gem.files.grep(/\.so\z/).first
    symbols, = Open3.capture2e("objdump", "-T", library)
    needed = symbols.scan(/GLIBC_(\d+\.\d+)/).flatten.max_by { |text| Gem::Version.new(text) }

    expect(Gem::Version.new(needed)).to be <= Gem::Version.new("2.36")
    expect(spec.description).to include("glibc #{needed} or newer")
  end

  it "has the licence of every linked crate" do
    text = File.read(gem.files.grep(/THIRD-PARTY/).first, encoding: Encoding::UTF_8)
    library = File.binread(gem.files.grep(/\.so\z/).first)
    # The library contains the source paths of crates that can panic.
    crates = library.scan(%r{/registry/src/[^/]+/([a-z][\w-]*)-(\d+\.\d+\.\d+)/}).uniq

    expect(crates.map(&:first)).to include("tokio", "magnus")
    crates.each { |name, version| expect(text).to match(/^#{name} #{version}: \w+/) }
    expect(text).to include("Permission is hereby granted", "Rust's standard library\n", "Tokio Contributors")
  end

  it "is small" do
    expect(gem).to be_small
  end

  it "prints instructions under a Ruby without an extension" do
    FileUtils.cp_r("#{gem.home}/gems/#{spec.full_name}/lib", @dir)
    FileUtils.mv("#{@dir}/lib/proxymachine/#{minor}", "#{@dir}/lib/proxymachine/2.7")
    output, = Open3.capture2e(RbConfig.ruby, "-I#{@dir}/lib", "-e", "require 'proxymachine'; ProxyMachine::TLS")

    expect(output).to include("the precompiled extension is for Ruby 2.7", "gem install proxymachine --platform ruby")
  end

  it "may have extensions for several Rubies" do
    stub_const("NativeGem::EXTENSIONS", "#{@dir}/extensions")
    %w[3.3 3.4 4.0].each do |other|
      FileUtils.mkdir_p("#{@dir}/extensions/#{other}")
      FileUtils.cp(gem.files.grep(/\.so\z/).first, "#{@dir}/extensions/#{other}/proxymachine.so")
    end
    several = Gem::Package.new(NativeGem.package(NativeGem.compiled, into: @dir)).spec

    expect(several.files.grep(/\.so\z/)).to eq(%w[3.3 3.4 4.0].map { |it| "lib/proxymachine/#{it}/proxymachine.so" })
    expect(several.required_ruby_version).to eq(Gem::Requirement.new(">= 3.3", "< 4.1.dev"))
    expect([%w[3.3 3.4 4.0], %w[3.1 3.3]].map { |minors| NativeGem.gap(minors) }).to eq([[], ["3.2"]])
  end
end
