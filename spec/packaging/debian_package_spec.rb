# frozen_string_literal: true

require "open3"
require_relative "../../rakelib/lib/debian_trial"

# `rake deb` for this Ruby, with the extension of `rake compile`.
RSpec.describe "Debian package:", :slow do
  def self.debian?
    File.exist?("/etc/debian_version")
  end

  def output(*command)
    Shell.run(*command, chdir: @dir)
  end

  def minor
    NativeGem.minor
  end

  before(:context) do
    skip "it is for Debian" unless self.class.debian?
    @dir = Dir.mktmpdir("proxymachine-deb")
    extensions = NativeGem::EXTENSIONS
    NativeGem.send(:remove_const, :EXTENSIONS)
    NativeGem.const_set(:EXTENSIONS, "#{@dir}/extensions")
    NativeGem.add("#{ProxyProcess::ROOT}/lib/proxymachine/proxymachine.so", minor)
    @files = %w[0.1-1 0.2-1].map { |version| DebianPackage.build([minor], into: @dir, version: version) }
    @file = @files.first
    @again = DebianPackage.build([minor], into: "#{@dir}/again", version: "0.1-1")
    output("dpkg-deb", "--extract", @file, "#{@dir}/root")
  ensure
    if extensions
      NativeGem.send(:remove_const, :EXTENSIONS)
      NativeGem.const_set(:EXTENSIONS, extensions)
    end
  end

  after(:context) { FileUtils.rm_rf(@dir) if @dir }

  it "lintian reports no error and no warning" do
    expect(output("lintian", "--allow-root", "--fail-on", "error,warning", @file)).to eq ""
  end

  it "depends on the Rubies that it has extensions for" do
    depends = output("dpkg-deb", "--field", @file, "Depends").chomp.split(", ")
    expect(depends).to include("adduser", "ruby (>= 1:#{minor})", "ruby (<< 1:#{minor.succ}~)")
    expect(DebianPackage.dependencies(%w[3.1 3.3])).to eq "ruby (>= 1:3.1), ruby (<< 1:3.4~), libruby3.1 | libruby3.3"
  end

  it "sorts a prerelease before its release, and the package's number after both" do
    versions = %w[2.0.0.pre1 2.0.0 2.0.1].map { |version| DebianPackage.version(version) }
    expect(versions).to eq %w[2.0.0~pre1-1 2.0.0-1 2.0.1-1]
    versions.each_cons(2) { |one, other| output("dpkg", "--compare-versions", one, "lt", other) }
  end

  it "installs a config that is the administrator's" do
    expect(output("dpkg-deb", "--info", @file, "conffiles")).to eq "/etc/proxymachine/config.rb\n"
    expect(File.read("#{@dir}/root/etc/proxymachine/config.rb"))
      .to eq File.read("#{ProxyProcess::ROOT}/lib/proxymachine/cli/config.rb.template")
  end

  it "runs the unit of contrib as its own user" do
    unit = File.read(Dir["#{@dir}/root/{lib,usr/lib}/systemd/system/proxymachine.service"].first)
    expect(unit).to include("\nExecStart=/usr/bin/proxymachine -c /etc/proxymachine/config.rb\n",
                            "\nUser=proxymachine\n")
    own = File.read("#{ProxyProcess::ROOT}/contrib/proxymachine.service").lines.grep(/\A\w/)
    expect(own - unit.lines).to eq ["ExecStartPre=/usr/bin/env proxymachine -t -c /etc/proxymachine/config.rb\n",
                                    "ExecStart=/usr/bin/env proxymachine -c /etc/proxymachine/config.rb\n",
                                    "DynamicUser=yes\n"]
  end

  it "is the same when the same commit is built again" do
    expect(File.binread(@again) == File.binread(@file)).to be true
  end

  it "installs without a network, runs, upgrades, and leaves nothing after purging", time_limit: 900 do
    suite = DebianTrial::RUBIES.key(minor) or skip "no release of Debian has Ruby #{minor}"
    missing = DebianTrial.missing(suite) and skip missing
    steps = DebianTrial.run(suite, @files).scan(/^trial: (\w+)/).flatten
    expect(steps).to eq %w[install version check run upgrade remove purge passed]
  end
end
