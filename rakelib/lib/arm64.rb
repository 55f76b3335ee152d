# frozen_string_literal: true

require_relative "arm64_folder"
require_relative "native_gem"

# The precompiled gem for arm64, cross-built here for the Ruby of a folder, and tried in the folder.
module Arm64
  TARGET = "aarch64-unknown-linux-gnu"
  GNU = "aarch64-linux-gnu"
  TARGET_DIR = File.join(DebianFolder::ROOT, "target/cross")
  # The cross compiler has its own headers. `-std` is explained in the Rakefile.
  ENVIRONMENT = {
    "RUBY" => File.join(__dir__, "cross_ruby.rb"),
    "CC_aarch64_unknown_linux_gnu" => "#{GNU}-gcc",
    "CFLAGS_aarch64_unknown_linux_gnu" => "-std=gnu11",
    "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER" => "#{GNU}-gcc",
    "BINDGEN_EXTRA_CLANG_ARGS_aarch64_unknown_linux_gnu" => "--sysroot=/usr/#{GNU} -I/usr/#{GNU}/include"
  }.freeze
  SPECS = %w[spec/unit spec/contract].freeze
  # Seconds that a test waits for an event. To start a Ruby takes seconds in QEMU.
  DEADLINE = 200

  module_function

  # @return [String] what is missing, as a sentence; nil if nothing is
  def missing
    return Arm64Folder.missing if Arm64Folder.missing
    return "#{GNU}-gcc is missing: apt-get install gcc-#{GNU} libc6-dev-arm64-cross" unless which?("#{GNU}-gcc")

    sysroot = Shell.run("rustc", "--print", "sysroot").chomp
    return if File.exist?("#{sysroot}/lib/rustlib/#{TARGET}")

    "Rust's library for #{TARGET} is missing: rustup target add #{TARGET}"
  end

  def which?(program)
    system("which", program, out: File::NULL)
  end

  # Builds the gem for the Ruby of the folder.
  # @return [String] its file
  def build(folder)
    cargo(folder, "build", "--release", "--package", "proxymachine")
    NativeGem.cpu = "aarch64"
    minor = folder.rbconfig[%r{/(\d+\.\d+)\.\d+/rbconfig}, 1]
    NativeGem.add("#{TARGET_DIR}/#{TARGET}/release/libproxymachine.so", minor)
    NativeGem.package([minor])
  ensure
    NativeGem.cpu = nil
  end

  # Builds the engine's tests.
  # @return [Array<String>] their files
  def tests(folder)
    output = cargo(folder, "test", "--no-run", "--package", "proxymachine-engine")
    output.scan(%r{\((\S*#{TARGET}/debug/deps/\S+)\)}).flatten.map { |file| File.expand_path(file, DebianFolder::ROOT) }
  end

  def cargo(folder, command, *arguments)
    Shell.run(ENVIRONMENT.merge("CROSS_RBCONFIG" => folder.rbconfig), "cargo", command, "--locked",
              "--target", TARGET, "--target-dir", TARGET_DIR, *arguments, chdir: DebianFolder::ROOT)
  end

  # Installs the gem in the folder and runs the demo, the engine's tests and the specs of the contract with it.
  # @return [Hash] whether each step passed
  def try(folder, gem, tests)
    folder.bring_sources
    place = "#{folder.dir}#{DebianFolder::SOURCES}"
    FileUtils.mkdir_p("#{place}/tmp/engine")
    FileUtils.cp([gem, *tests], "#{place}/tmp/engine")
    FileUtils.cp("#{TARGET_DIR}/#{TARGET}/release/libproxymachine.so", "#{place}/lib/proxymachine/proxymachine.so")
    steps(File.basename(gem), tests.map { |file| File.basename(file) }).to_h do |title, command|
      puts "== #{title}"
      [title, folder.run("nice", "sh", "-c", command)]
    end
  end

  def steps(gem, tests)
    { "installation" => "gem install --local --no-document --force tmp/engine/#{gem}",
      "demo" => "PROXYMACHINE_BIN=/usr/local/bin/proxymachine ruby bin/demo.rb --once",
      "engine" => "export SPEC_DEADLINE=#{DEADLINE}; cd ext/engine && for test in #{tests.join(" ")}; " \
                  "do ../../tmp/engine/$test || failed=1; done; [ -z \"$failed\" ]",
      "specs" => "SPEC_DEADLINE=#{DEADLINE} ruby -S rspec #{SPECS.join(" ")}" }
  end
end
