# frozen_string_literal: true

require "open3"
require_relative "../../ext/proxymachine/prerequisites"

RSpec.describe "ext/proxymachine/extconf.rb:" do
  before(:context) { @dir = Dir.mktmpdir("proxymachine-extconf") }
  after(:context) { FileUtils.rm_rf(@dir) }

  compiler = RbConfig::CONFIG["CC"].split.first
  tools = %W[sh cargo rustc make strip #{compiler} as ld]

  # Creates a directory with wrappers of the machine's tools, without some and with replacements.
  def path(tools, without: [], with: {})
    dir = Dir.mktmpdir("path", @dir)
    (tools - without).to_h { |tool| [tool, %(exec "#{which(tool)}" "$@")] }.merge(with).each do |tool, script|
      File.write("#{dir}/#{tool}", "#!/bin/sh\n#{script}\n", perm: 0o755)
    end
    dir
  end

  def which(tool)
    ENV["PATH"].split(":").map { |dir| "#{dir}/#{tool}" }.find { |file| File.executable?(file) } or raise "no #{tool}"
  end

  # Returns the output and whether a Makefile was written. `through` is a command that runs the rest of its command
  # line.
  def configure(through: [], **environment)
    made = Dir.mktmpdir("made", @dir)
    output, status = Open3.capture2e(environment.transform_keys(&:to_s), *through, RbConfig.ruby,
                                     "#{ProxyProcess::ROOT}/ext/proxymachine/extconf.rb", chdir: made)
    expect(File.exist?("#{made}/Makefile")).to eq(status.success?)
    [output, status.success?]
  end

  # Expects exactly this prerequisite to be reported as missing.
  def lack(what)
    satisfy("say that only #{what} is missing") do |output, success|
      !success && output.lines.size == 1 && output.match?(/\Aproxymachine: #{Regexp.escape(what)}.* is missing/)
    end
  end

  # Returns a command that hides these directories in a mount namespace.
  def hiding(*dirs)
    mounts = dirs.map { |dir| "mount -t tmpfs none '#{dir}'" }.join(" && ")
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", "#{mounts} && exec \"$@\"", "sh"]
    output, status = Open3.capture2e(*command, "true")
    skip "this process may not mount: #{output}" unless status.success?
    command
  end

  it "writes a Makefile if nothing is missing" do
    expect(configure(PATH: path(tools)).last).to be true
  end

  it "reports a missing cargo" do
    expect(configure(PATH: path(tools, without: ["cargo"]))).to lack("cargo 1.85 or newer (Rust)")
  end

  it "reports an old cargo with its version" do
    old = path(tools, with: { "cargo" => "echo 'cargo 1.63.0 (fd9c4297c 2022-07-01)'" })

    expect(configure(PATH: old).first).to start_with("proxymachine: cargo 1.85 or newer (Rust) is missing " \
                                                     "(there is cargo 1.63.0)")
  end

  it "reports a missing C compiler" do
    expect(configure(PATH: path(tools, without: [compiler]))).to lack("a working C compiler and linker")
  end

  it "reports a missing linker" do
    broken = path(tools, with: { compiler => "echo 'cannot find ld' >&2; exit 1" })

    expect(configure(PATH: broken)).to lack("a working C compiler and linker")
  end

  it "reports a missing make" do
    expect(configure(PATH: path(tools, without: ["make"]))).to lack("make")
  end

  it "reports a missing rb_sys" do
    empty = Dir.mktmpdir("gems", @dir)

    expect(configure(GEM_HOME: empty, GEM_PATH: empty)).to lack("rb_sys (the gem that builds Rust extensions)")
  end

  it "reports missing Ruby headers" do
    expect(configure(through: hiding(RbConfig::CONFIG["rubyhdrdir"]))).to lack("ruby.h (Ruby's headers)")
  end

  it "reports a missing libclang" do
    dirs = Dir.glob(Prerequisites::LIBCLANG).map { |file| File.dirname(file) }.uniq
    skip "libclang is among the system's own libraries" if dirs.any? { |dir| Dir.exist?("#{dir}/pkgconfig") }

    expect(configure(through: hiding(*dirs), LIBCLANG_PATH: nil)).to lack("libclang")
  end

  it "asks for no gem that Debian has for another Ruby only" do
    pg = Prerequisites::NEEDS.find { |need| need.name == "pg (the gem)" }
    skip "it is for Debian's Ruby" unless RbConfig::CONFIG["vendordir"] == "/usr/lib/ruby/vendor_ruby"

    allow(Prerequisites).to receive(:gem?).and_return(false)
    allow(Prerequisites).to receive(:runs?).with("dpkg-query", "-L", "ruby-pg").and_return(true, false)
    expect(pg.missing?).to be false
    expect(pg.missing?).to be true
  end

  describe "names the package on" do
    def sentences(os, release)
      systems = Prerequisites.systems(os, release.scan(/^(\w+)="?([^"\n]*)/).to_h)
      Prerequisites::NEEDS.select { |need| need.purpose == :build }.map do |need|
        need.dup.tap { |one| one.found = nil }.sentence(systems)[/ is missing[:.] (.*)/, 1]
      end
    end

    rust = "rustup toolchain install stable"
    {
      "Debian 12" => ["ID=debian\nVERSION_ID=\"12\"\n",
                      ["apt-get install ruby-dev", "gem install rb_sys", rust, "apt-get install gcc libc6-dev",
                       "apt-get install make", "apt-get install libclang-dev"]],
      "Debian 13" => ["ID=debian\nVERSION_ID=\"13\"\n",
                      ["apt-get install ruby-dev", "apt-get install ruby-rb-sys, or gem install rb_sys",
                       "apt-get install cargo, or #{rust}", "apt-get install gcc libc6-dev", "apt-get install make",
                       "apt-get install libclang-dev"]],
      "Ubuntu 24.04" => ["ID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"24.04\"\n",
                         ["apt-get install ruby-dev", "gem install rb_sys", rust, "apt-get install gcc libc6-dev",
                          "apt-get install make", "apt-get install libclang-dev"]],
      "Fedora" => ["ID=fedora\nVERSION_ID=43\n",
                   ["dnf install ruby-devel", "gem install rb_sys", "dnf install cargo, or #{rust}", "dnf install gcc",
                    "dnf install make", "dnf install clang-devel"]],
      "Alpine" => ["ID=alpine\nVERSION_ID=3.22.0\n",
                   ["apk add ruby-dev", "gem install rb_sys", "apk add cargo, or #{rust}", "apk add gcc musl-dev",
                    "apk add make", "apk add clang-dev"]],
      "Arch" => ["ID=arch\n",
                 ["pacman -S ruby", "gem install rb_sys", "pacman -S rust, or #{rust}", "pacman -S gcc",
                  "pacman -S make", "pacman -S clang"]]
    }.each do |system, (release, packages)|
      it(system) { expect(sentences("linux-gnu", release)).to eq(packages) }
    end

    it "macOS" do
      expect(sentences("darwin24", "")).to eq(
        ["brew install ruby", "gem install rb_sys", "brew install rust, or #{rust}", "xcode-select --install",
         "xcode-select --install", "brew install llvm"]
      )
    end

    it "every system, if this one is unknown" do
      expect(sentences("linux-gnu", "ID=plan9\n")[4]).to eq(
        "Debian, Ubuntu: apt-get install make; Fedora: dnf install make; Alpine: apk add make; " \
        "Arch: pacman -S make; macOS: xcode-select --install"
      )
    end
  end
end
