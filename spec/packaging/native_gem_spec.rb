# frozen_string_literal: true

require "open3"
require_relative "../../rakelib/lib/native_gem"

# The extension that `rake compile` has made is packed: what `rake native` does for this Ruby.
RSpec.describe "the precompiled gem" do
  # All that installing and running it needs.
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

  it "is for the platform and the Rubies that it has an extension for" do
    expect(spec.platform.to_s).to eq("#{RbConfig::CONFIG["host_cpu"]}-linux")
    expect(spec.required_ruby_version).to eq(Gem::Requirement.new(">= #{minor}", "< #{minor.succ}.dev"))
    expect(spec.files.grep(/\.so\z/)).to eq(["lib/proxymachine/#{minor}/proxymachine.so"])
  end

  it "needs nothing to be built" do
    expect(spec.extensions).to be_empty
    expect(spec.runtime_dependencies).to be_empty
    expect(spec.files.grep(%r{\Aext/|\ACargo})).to be_empty
  end

  it "says which glibc its extension needs, not newer than Debian 12's" do
    library = gem.files.grep(/\.so\z/).first
    symbols, = Open3.capture2e("objdump", "-T", library)
    needed = symbols.scan(/GLIBC_(\d+\.\d+)/).flatten.max_by { |text| Gem::Version.new(text) }

    expect(Gem::Version.new(needed)).to be <= Gem::Version.new("2.36")
    expect(spec.description).to include("glibc #{needed} or newer")
  end

  it "has the licences of all that is linked into it" do
    text = File.read(gem.files.grep(/THIRD-PARTY/).first, encoding: Encoding::UTF_8)
    library = File.binread(gem.files.grep(/\.so\z/).first)
    # Where a crate can panic, its name stands in the library.
    crates = library.scan(%r{/registry/src/[^/]+/([a-z][\w-]*)-(\d+\.\d+\.\d+)/}).uniq

    expect(crates.map(&:first)).to include("tokio", "magnus")
    crates.each { |name, version| expect(text).to match(/^#{name} #{version}: \w+/) }
    expect(text).to include("Permission is hereby granted", "Rust's standard library\n", "Tokio Contributors")
  end

  it "stays small" do
    expect(gem.size).to be < 5_000_000
  end

  it "says what to do under a Ruby that it has no extension for" do
    FileUtils.cp_r("#{gem.home}/gems/#{spec.full_name}/lib", @dir)
    FileUtils.mv("#{@dir}/lib/proxymachine/#{minor}", "#{@dir}/lib/proxymachine/2.7")
    output, = Open3.capture2e(RbConfig.ruby, "-I#{@dir}/lib", "-e", "require 'proxymachine'; ProxyMachine::TLS")

    expect(output).to include("the precompiled extension is for Ruby 2.7", "gem install proxymachine --platform ruby")
  end

  it "may hold several Rubies, each with its own extension" do
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
