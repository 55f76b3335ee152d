# frozen_string_literal: true

require "fileutils"
require "rbconfig"
require_relative "../unstable"

# The extension with AddressSanitizer, in a copy of exe and lib.
class SanitizedExtension
  TARGET = "x86_64-unknown-linux-gnu"
  PROFILE = { "CARGO_PROFILE_RELEASE_LTO" => "off", "CARGO_PROFILE_RELEASE_STRIP" => "none",
              "CARGO_PROFILE_RELEASE_DEBUG" => "line-tables-only" }.freeze

  # The library for LD_PRELOAD; nil if there is none. It is gcc's, because rustc links its own into programs only.
  def self.runtime
    path = IO.popen(%w[gcc -print-file-name=libasan.so], &:read).chomp
    File.realpath(path) if File.exist?(path)
  rescue Errno::ENOENT
    nil
  end

  def initialize(dir)
    @dir = File.expand_path(dir)
  end

  def build
    unstable, *cargo = Unstable.cargo
    run_command(unstable.merge(PROFILE, "RUSTFLAGS" => "-Zsanitizer=address --cfg sanitized",
                                        "CARGO_TARGET_DIR" => "#{@dir}/target"),
                *cargo, "build", "--release", "--locked", "--target", TARGET, "-p", "proxymachine")
    FileUtils.rm_rf(%w[exe lib].map { |name| "#{@dir}/#{name}" })
    FileUtils.cp_r(%w[exe lib], @dir)
    FileUtils.cp("#{@dir}/target/#{TARGET}/release/libproxymachine.so", "#{@dir}/lib/proxymachine/proxymachine.so")
    self
  end

  # Runs a script that starts servers with it.
  def run(script)
    run_command({ "HUNT_TREE" => @dir, "HUNT_PRELOAD" => self.class.runtime,
                  "HUNT_LOGS" => "#{@dir}/logs" }, RbConfig.ruby, script)
  end

  private

  def run_command(...)
    system(...) || abort("rake safety:gc: it failed")
  end
end
