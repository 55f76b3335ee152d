# frozen_string_literal: true

require "rbconfig"
require "rubygems/package"
require_relative "shell"
require_relative "third_party"

# The precompiled gem: the Ruby files of the source gem, extensions for several Rubies, and the licences of the crates
# linked into them. The gem needs neither Rust nor a compiler.
module NativeGem
  # The supported minor versions of Ruby in order.
  MINORS = %w[3.1 3.2 3.3 3.4 4.0].freeze
  # The newest glibc that an extension may need: Debian 12's.
  GLIBC = "2.36"
  ROOT = File.expand_path("../..", __dir__)
  # The folder for extensions: MINOR/proxymachine.so
  EXTENSIONS = File.join(ROOT, "tmp/native/extensions")
  CPU = RbConfig::CONFIG["host_cpu"].sub("arm64", "aarch64")

  class << self
    # The processor that the gem is for, as RbConfig writes it; this machine's unless another one is set.
    attr_writer :cpu

    def cpu
      @cpu || CPU
    end

    # Builds the extension for the running Ruby, in another folder than `rake compile`.
    def compile
      dir = Shell.fresh(File.join(ROOT, "tmp/native/build", minor))
      environment = { "RB_SYS_CARGO_TARGET_DIR" => File.join(ROOT, "target", "ruby-#{minor}"),
                      "RB_SYS_EXTRA_CARGO_ARGS" => "--locked" }
      Shell.run(environment, RbConfig.ruby, File.join(ROOT, "ext/proxymachine/extconf.rb"), chdir: dir)
      Shell.run(environment, "make", chdir: dir)
      add(File.join(dir, "proxymachine.so"), minor)
    end

    # Builds the extension in another Debian, for its Ruby.
    def compile_in(folder)
      folder.bring_sources
      return warn "native: not built in #{folder.suite}" unless folder.run("ruby", "-S", "rake", "native:compile")

      folder.glob("tmp/native/extensions/*/*.so").each { |file| add(file, File.basename(File.dirname(file))) }
    end

    # Adds an extension built for this minor version of Ruby.
    def add(library, minor)
      target = extension(minor)
      FileUtils.mkdir_p(File.dirname(target))
      Shell.run(cpu == CPU ? "strip" : "#{cpu}-linux-gnu-strip", "--strip-unneeded", "-o", target, library)
      needed = glibc(target)
      raise "#{target} needs glibc #{needed}, but this gem must run with #{GLIBC}" if newest([needed, GLIBC]) != GLIBC

      puts "native: Ruby #{minor}, needs glibc #{needed}, #{File.size(target) / 1024} KiB"
    end

    # Returns the minor versions with an extension.
    def compiled
      MINORS.select { |minor| File.exist?(extension(minor)) }
    end

    # Returns the largest range around this Ruby's version without a gap.
    def choice
      run = MINORS.chunk_while { |one, other| compiled.include?(one) && compiled.include?(other) }
      run.find { |minors| minors.include?(minor) } & compiled
    end

    # Returns the missing minor versions within a range. RubyGems cannot exclude them, so that it installs the gem
    # there; the gem's loader then prints instructions.
    def gap(minors)
      MINORS[MINORS.index(minors.first)..MINORS.index(minors.last)] - minors
    end

    # Packs the extensions for these minor versions. Returns the gem's file name.
    def package(minors, into: File.join(ROOT, "pkg"))
      raise "nothing is compiled" if minors.empty?

      dir = File.join(ROOT, "tmp/native/gem")
      spec = specification(minors)
      spec.files = stage(dir, minors)
      target = File.join(into, spec.file_name)
      FileUtils.mkdir_p(into)
      Dir.chdir(dir) { Gem::Package.build(spec, false, true, target) }
      target
    end

    # Puts the gem's files into a new folder: those of the source gem without its crates, the extensions, and the
    # licences. Returns the files' names.
    def stage(dir, minors)
      Shell.fresh(dir)
      kept = source_gem.files.grep_v(%r{\Aext/|\ACargo\.})
      kept.each { |file| Shell.copy(File.join(ROOT, file), File.join(dir, file)) }
      minors.each { |minor| Shell.copy(extension(minor), File.join(dir, "lib/proxymachine", minor, "proxymachine.so")) }
      File.write(File.join(dir, "THIRD-PARTY.txt"), ThirdParty.text("#{cpu}-unknown-linux-gnu"))
      Dir.chdir(dir) { Dir["**/*"].select { |file| File.file?(file) }.sort }
    end

    # Returns the gem's version.
    def version
      source_gem.version.to_s
    end

    def minor
      RUBY_VERSION[/\A\d+\.\d+/]
    end

    # Returns other Rubies of Debian and version managers, by minor version.
    def other_rubies
      rubies = Dir["/usr/bin/ruby[0-9]*", "{/opt/rubies,#{Dir.home}/.rubies,#{Dir.home}/.rbenv/versions}/*/bin/ruby"]
      rubies.to_h do |ruby|
        [Shell.run(ruby, "-e", "print RUBY_VERSION[/^\\d+\\.\\d+/]"), ruby]
      end.slice(*(MINORS - [minor]))
    end

    private

    # Returns the specification of the source gem without its build dependencies.
    def specification(minors)
      spec = source_gem
      spec.platform = Gem::Platform.new("#{cpu}-linux")
      spec.extensions = []
      spec.dependencies.reject! { |dependency| dependency.name == "rb_sys" }
      spec.metadata = spec.metadata.reject { |key, _| key == "cargo_crate_name" }
      spec.required_ruby_version = [">= #{minors.first}", "< #{minors.last.succ}.dev"]
      needed = newest(minors.map { |minor| glibc(extension(minor)) })
      spec.description += "This gem is precompiled for Ruby #{minors.join(", ")} on #{cpu} Linux with glibc " \
                          "#{needed} or newer.\n"
      spec
    end

    def source_gem
      Gem::Specification.load(File.join(ROOT, "proxymachine.gemspec")).dup
    end

    def extension(minor)
      File.join(cpu == CPU ? EXTENSIONS : "#{EXTENSIONS}-#{cpu}", minor, "proxymachine.so")
    end

    # Returns the newest glibc whose symbols the library needs.
    def glibc(library)
      Shell.run("objdump", "-T", library).scan(/\(?GLIBC_(\d[\d.]*)/).flatten.then { |versions| newest(versions) }
    end

    def newest(versions)
      versions.max_by { |text| Gem::Version.new(text) }
    end
  end
end
