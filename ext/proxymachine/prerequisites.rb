# frozen_string_literal: true

require "open3"
require "rbconfig"

# Whether a machine has what it must have, beside Ruby itself, before ProxyMachine can be built, demonstrated
# and tested (needs.rb). extconf.rb and bin/setup ask here, so that both give the same answer: one sentence for
# each thing that is missing.
module Prerequisites
  # The oldest Rust that builds the crates: rust-version in Cargo.toml.
  RUST = "1.85"

  # purpose:: :build, :demo or :test, whichever needs it first
  # packages:: system or installer => what to ask it for
  # check:: tells whether it is there: a block, or the words of a command that runs only then
  # found:: a block that tells what is there instead
  Need = Struct.new(:purpose, :name, :packages, :check, :found) do
    def missing?
      !(check.respond_to?(:call) ? check.call : Prerequisites.runs?(*check))
    end

    def debian_packages
      packages.values_at(:debian, :debian13).compact
    end

    # systems:: those of SYSTEMS that this machine is; if there is nothing for them, all are named
    def sentence(systems = Prerequisites.systems)
      instead = found&.call
      subject = "#{name} is missing#{" (#{instead})" if instead}"
      here = packages.slice(*systems)
      return "#{subject}: #{here.map { |system, words| "#{INSTALLERS[system]} #{words}" }.join(", or ")}" if here.any?

      "#{subject}. #{packages.map { |system, words| "#{SYSTEMS[system]}: #{INSTALLERS[system]} #{words}" }.join("; ")}"
    end
  end

  SYSTEMS = {
    debian: "Debian, Ubuntu",
    debian13: "Debian 13, Ubuntu 25.10 or newer",
    fedora: "Fedora",
    alpine: "Alpine",
    arch: "Arch",
    homebrew: "macOS",
    xcode: "macOS",
    gem: "any system",
    rustup: "any system",
    pip: "any system"
  }.freeze

  INSTALLERS = {
    debian: "apt-get install", debian13: "apt-get install", fedora: "dnf install", alpine: "apk add",
    arch: "pacman -S", homebrew: "brew install", xcode: "xcode-select", gem: "gem install", rustup: "rustup",
    pip: "pip install"
  }.freeze

  # Where libclang lives when its development package, which brings the headers that bindgen
  # needs, is there. The bare run-time library has a version number in its file name.
  LIBCLANG = %w[
    /usr/lib/llvm*/lib /usr/lib/*-linux-gnu /usr/lib /usr/lib64 /usr/local/lib /usr/local/llvm*/lib
    /opt/homebrew/opt/llvm/lib /usr/local/opt/llvm/lib /Library/Developer/CommandLineTools/usr/lib
    /Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib
  ].map { |dir| "#{dir}/libclang.{so,dylib}" }.freeze

  class << self
    # The needs for these purposes that the machine does not meet.
    def missing(*purposes)
      NEEDS.select { |need| purposes.include?(need.purpose) && need.missing? }
    end

    # Which of SYSTEMS this machine is, with what works everywhere; empty if it is none of them.
    def systems(os = RbConfig::CONFIG["host_os"], release = os_release)
      everywhere = %i[gem rustup pip]
      return %i[homebrew xcode] + everywhere if os.start_with?("darwin")

      names = "#{release["ID"]} #{release["ID_LIKE"]}".split.map { |name| name.sub("ubuntu", "debian").to_sym }
      known = names & %i[debian fedora alpine arch]
      known << :debian13 if known.include?(:debian) && new_debian?(release)
      known.empty? ? [] : known + everywhere
    end

    def gem?(name)
      !Gem::Specification.find_all_by_name(name).empty?
    end

    def runs?(*command, **input)
      _output, status = Open3.capture2e(*command, **input)
      status.success?
    rescue SystemCallError
      false
    end

    # The version of cargo, or nil.
    def cargo
      output, status = Open3.capture2e(ENV.fetch("CARGO", "cargo"), "--version")
      output[/\d+\.\d+\.\d+/] if status.success?
    rescue SystemCallError
      nil
    end

    def rust?
      Gem::Version.new(cargo || "0") >= Gem::Version.new(RUST)
    end

    # Links a program: a compiler without its C library's files is no use.
    def linker?
      compiler = RbConfig::CONFIG.fetch("CC").split
      runs?(*compiler, "-x", "c", "-", "-o", File::NULL, stdin_data: "int main(void) { return 0; }")
    end

    def libclang?
      ENV.key?("LIBCLANG_PATH") || gem?("libclang") || !Dir.glob(LIBCLANG).empty?
    end

    # Rust downloads its crates over TLS; elsewhere the certificates are always there.
    def certificates?
      !File.exist?("/etc/debian_version") || File.exist?("/etc/ssl/certs/ca-certificates.crt")
    end

    private

    def os_release
      File.read("/etc/os-release").scan(/^(\w+)="?([^"\n]*)/).to_h
    rescue SystemCallError
      {}
    end

    # Those that have a Rust that is new enough, and rb_sys. A system that is only like Debian may be either.
    def new_debian?(release)
      first = { "debian" => "13", "ubuntu" => "25.10" }[release["ID"]]
      !(first && release["VERSION_ID"] && Gem::Version.new(release["VERSION_ID"]) < Gem::Version.new(first))
    end
  end
end

require_relative "needs"

# For bin/setup: `ruby prerequisites.rb build demo` prints a sentence for each missing thing and
# fails if there is one; with --debian it prints the names of the Debian packages instead.
if $PROGRAM_NAME == __FILE__
  only_packages = ARGV.delete("--debian")
  missing = Prerequisites.missing(*ARGV.map(&:to_sym))
  puts(missing.map { |need| only_packages ? need.debian_packages : need.sentence })
  exit missing.empty?
end
