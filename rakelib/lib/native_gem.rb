# frozen_string_literal: true

require "fileutils"
require "open3"
require "rbconfig"
require "rubygems/package"
require_relative "third_party"

# The precompiled gem: the Ruby files of the source gem, an extension for each of some Rubies, and the licences of what
# is linked into them. It needs neither Rust nor a compiler.
module NativeGem
  # Ruby's minor versions, in their order.
  MINORS = %w[3.1 3.2 3.3 3.4 4.0].freeze
  # The newest glibc that an extension may need: the one of Debian 12.
  GLIBC = "2.36"
  ROOT = File.expand_path("../..", __dir__)
  # Where the extensions are collected: MINOR/proxymachine.so
  EXTENSIONS = File.join(ROOT, "tmp/native/extensions")
  CPU = RbConfig::CONFIG["host_cpu"].sub("arm64", "aarch64")

  class << self
    # Builds the extension for the Ruby that runs this, away from where `rake compile` does.
    def compile
      dir = fresh(File.join(ROOT, "tmp/native/build", minor))
      environment = { "RB_SYS_CARGO_TARGET_DIR" => File.join(ROOT, "target", "ruby-#{minor}"),
                      "RB_SYS_EXTRA_CARGO_ARGS" => "--locked" }
      run(environment, RbConfig.ruby, File.join(ROOT, "ext/proxymachine/extconf.rb"), chdir: dir)
      run(environment, "make", chdir: dir)
      add(File.join(dir, "proxymachine.so"), minor)
    end

    # Builds it in another Debian, for the Ruby there.
    def compile_in(folder)
      folder.bring_sources
      return warn "native: not built in #{folder.suite}" unless folder.run("ruby", "-S", "rake", "native:compile")

      folder.glob("tmp/native/extensions/*/*.so").each { |file| add(file, File.basename(File.dirname(file))) }
    end

    # Takes an extension that was built for the Ruby of that minor version.
    def add(extension, minor)
      target = File.join(EXTENSIONS, minor, "proxymachine.so")
      FileUtils.mkdir_p(File.dirname(target))
      run("strip", "--strip-unneeded", "-o", target, extension)
      needed = glibc(target)
      raise "#{target} needs glibc #{needed}, this gem shall run with #{GLIBC}" if newest([needed, GLIBC]) != GLIBC

      puts "native: Ruby #{minor}, needs glibc #{needed}, #{File.size(target) / 1024} KiB"
    end

    # Those for which there is an extension.
    def compiled
      MINORS.select { |minor| File.exist?(File.join(EXTENSIONS, minor, "proxymachine.so")) }
    end

    # The largest choice around this Ruby's version that has no gap.
    def choice
      run = MINORS.chunk_while { |one, other| compiled.include?(one) && compiled.include?(other) }
      run.find { |minors| minors.include?(minor) } & compiled
    end

    # Those between that are not there. RubyGems cannot be told so: it lets them install the gem, and the loader
    # tells them what to do.
    def gap(minors)
      MINORS[MINORS.index(minors.first)..MINORS.index(minors.last)] - minors
    end

    # Packs the extensions for these minor versions; returns the gem's file name.
    def package(minors, into: File.join(ROOT, "pkg"))
      raise "nothing is compiled" if minors.empty?

      stage = fresh(File.join(ROOT, "tmp/native/gem"))
      spec = specification(minors)
      spec.files = fill(stage, spec.files, minors)
      target = File.join(into, spec.file_name)
      FileUtils.mkdir_p(into)
      Dir.chdir(stage) { Gem::Package.build(spec, false, true, target) }
      target
    end

    def minor
      RUBY_VERSION[/\A\d+\.\d+/]
    end

    # minor => a Ruby that is not this one, where Debian and version managers put them.
    def other_rubies
      rubies = Dir["/usr/bin/ruby[0-9]*", "{/opt/rubies,#{Dir.home}/.rubies,#{Dir.home}/.rbenv/versions}/*/bin/ruby"]
      rubies.to_h { |ruby| [run(ruby, "-e", "print RUBY_VERSION[/^\\d+\\.\\d+/]"), ruby] }.slice(*(MINORS - [minor]))
    end

    private

    # That of the source gem, without what it needs to be built.
    def specification(minors)
      spec = Gem::Specification.load(File.join(ROOT, "proxymachine.gemspec")).dup
      spec.platform = Gem::Platform.new("#{CPU}-linux")
      spec.extensions = []
      spec.dependencies.reject! { |dependency| dependency.name == "rb_sys" }
      spec.metadata = spec.metadata.reject { |key, _| key == "cargo_crate_name" }
      spec.required_ruby_version = [">= #{minors.first}", "< #{minors.last.succ}.dev"]
      needed = newest(minors.map { |minor| glibc(extension(minor)) })
      spec.description += "This gem is precompiled for Ruby #{minors.join(", ")} on #{CPU} Linux with glibc " \
                          "#{needed} or newer.\n"
      spec
    end

    # Puts the gem's files into `stage`; returns their names.
    def fill(stage, sources, minors)
      kept = sources.grep_v(%r{\Aext/|\ACargo\.})
      kept.each { |file| copy(File.join(ROOT, file), File.join(stage, file)) }
      minors.each { |minor| copy(extension(minor), File.join(stage, "lib/proxymachine", minor, "proxymachine.so")) }
      File.write(File.join(stage, "THIRD-PARTY.txt"), ThirdParty.text("#{CPU}-unknown-linux-gnu"))
      Dir.chdir(stage) { Dir["**/*"].select { |file| File.file?(file) }.sort }
    end

    def extension(minor)
      File.join(EXTENSIONS, minor, "proxymachine.so")
    end

    # The newest glibc whose symbols the library wants.
    def glibc(library)
      run("objdump", "-T", library).scan(/\(?GLIBC_(\d[\d.]*)/).flatten.then { |versions| newest(versions) }
    end

    def newest(versions)
      versions.max_by { |text| Gem::Version.new(text) }
    end

    def copy(from, to)
      FileUtils.mkdir_p(File.dirname(to))
      FileUtils.cp(from, to)
    end

    def fresh(dir)
      FileUtils.rm_rf(dir)
      FileUtils.mkdir_p(dir)
      dir
    end

    def run(*command, **options)
      output, status = Open3.capture2e(*command, **options)
      raise "#{command.grep(String).join(" ")} failed:\n#{output}" unless status.success?

      output
    end
  end
end
