# frozen_string_literal: true

require "open3"
require "rbconfig"

# Checks the prerequisites, beside Ruby itself, for building, demonstrating and testing ProxyMachine (needs.rb).
# extconf.rb and bin/setup share this module, so that both print the same sentence for each missing prerequisite.
module Prerequisites
  # The oldest Rust that builds the crates: rust-version in Cargo.toml.
  RUST = "1.85"

  # purpose:: the first of :build, :demo and :test that needs the prerequisite
  # packages:: system or installer => arguments of the install command
  # check:: returns whether the prerequisite is met: a block, or a command that succeeds only then
  # found:: a block that returns what the machine has instead
  Need = Struct.new(:purpose, :name, :packages, :check, :found) do
    def missing?
      !(check.respond_to?(:call) ? check.call : Prerequisites.runs?(*check))
    end

    def debian_packages
      packages.values_at(:debian, :debian13).compact
    end

    # systems:: keys of SYSTEMS that apply to this machine; without a package for them, the sentence names all packages
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

  # Paths of libclang in the development package, which has the headers that bindgen needs. The file name of the
  # runtime library alone has a version number.
  LIBCLANG = %w[
    /usr/lib/llvm*/lib /usr/lib/*-linux-gnu /usr/lib /usr/lib64 /usr/local/lib /usr/local/llvm*/lib
    /opt/homebrew/opt/llvm/lib /usr/local/opt/llvm/lib /Library/Developer/CommandLineTools/usr/lib
    /Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib
  ].map { |dir| "#{dir}/libclang.{so,dylib}" }.freeze

  class << self
    # Returns the unmet prerequisites for some purposes.
    def missing(*purposes)
      NEEDS.select { |need| purposes.include?(need.purpose) && need.missing? }
    end

    # Returns the keys of SYSTEMS that apply to this machine; empty for an unknown system.
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

    # Returns whether a package of Debian is installed, but has its extension for another Ruby only. Debian builds
    # packages for its default Ruby, beside which experimental has a newer one.
    def for_other_ruby?(package)
      RbConfig::CONFIG["vendordir"] == "/usr/lib/ruby/vendor_ruby" && runs?("dpkg-query", "-L", package) &&
        !gem?(package.delete_prefix("ruby-"))
    end

    def runs?(*command, **input)
      _output, status = Open3.capture2e(*command, **input)
      status.success?
    rescue SystemCallError
      false
    end

    # Returns the version of cargo, or nil.
    def cargo
      output, status = Open3.capture2e(ENV.fetch("CARGO", "cargo"), "--version")
      output[/\d+\.\d+\.\d+/] if status.success?
    rescue SystemCallError
      nil
    end

    def rust?
      Gem::Version.new(cargo || "0") >= Gem::Version.new(RUST)
    end

    # Returns whether a program links, which needs the files of the C library, too.
    def linker?
      compiler = RbConfig::CONFIG.fetch("CC").split
      runs?(*compiler, "-x", "c", "-", "-o", File::NULL, stdin_data: "int main(void) { return 0; }")
    end

    def libclang?
      ENV.key?("LIBCLANG_PATH") || gem?("libclang") || !Dir.glob(LIBCLANG).empty?
    end

    # Returns whether cargo can download over TLS. Only Debian may lack the root certificates.
    def certificates?
      !File.exist?("/etc/debian_version") || File.exist?("/etc/ssl/certs/ca-certificates.crt")
    end

    # Returns whether the Debian package can be built, which only Debian needs to.
    def debian_tools?
      !File.exist?("/etc/debian_version") ||
        runs?("sh", "-c", "type dh dpkg-buildpackage fakeroot lintian debootstrap && dpkg-query -W build-essential")
    end

    private

    def os_release
      File.read("/etc/os-release").scan(/^(\w+)="?([^"\n]*)/).to_h
    rescue SystemCallError
      {}
    end

    # Returns whether the release has rb_sys and a recent Rust. For a derivative of Debian, the answer is yes.
    def new_debian?(release)
      first = { "debian" => "13", "ubuntu" => "25.10" }[release["ID"]]
      !(first && release["VERSION_ID"] && Gem::Version.new(release["VERSION_ID"]) < Gem::Version.new(first))
    end
  end
end

require_relative "needs"

# For bin/setup: `ruby prerequisites.rb build demo` prints a sentence for each missing prerequisite, and exits with 1
# if there is one. With --debian, the output is the names of the Debian packages.
if $PROGRAM_NAME == __FILE__
  only_packages = ARGV.delete("--debian")
  missing = Prerequisites.missing(*ARGV.map(&:to_sym))
  puts(missing.map { |need| only_packages ? need.debian_packages : need.sentence })
  exit missing.empty?
end
