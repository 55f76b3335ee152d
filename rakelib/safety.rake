# frozen_string_literal: true

require_relative "lib/sanitized_extension"
require_relative "unstable"

# Memory and thread safety: the tests of the crates without Ruby under sanitizers and Miri, and the extension in a
# real server under Valgrind.
module Safety
  extend Rake::DSL

  TARGET = "x86_64-unknown-linux-gnu"
  CRATES = %w[-p proxymachine-engine -p proxymachine-sniff].freeze
  ENVIRONMENTS = {
    "thread" => { "TSAN_OPTIONS" => "halt_on_error=0" },
    "address" => { "ASAN_OPTIONS" => "detect_leaks=1:detect_stack_use_after_return=1" }
  }.freeze
  # The prerequisite of each task, and its check.
  NEEDS = {
    "threads" => ["the sources of Rust's standard library: rustup component add rust-src", -> { Unstable.sources? }],
    "memory" => ["nothing", -> { true }],
    "miri" => ["Miri: rustup component add miri rust-src --toolchain nightly", -> { Unstable.miri? }],
    "gc" => ["the AddressSanitizer of gcc: apt-get install gcc", -> { SanitizedExtension.runtime }],
    "valgrind" => ["Valgrind: apt-get install valgrind", -> { Unstable.works?("valgrind", "--version") }]
  }.freeze

  module_function

  # Returns the reason why a task cannot run, or nil.
  def lacking(task)
    need, found = NEEDS.fetch(task)
    "safety:#{task} needs #{need}" unless found.call
  end

  def need(task)
    reason = lacking(task)
    abort reason if reason
  end

  # Some optimization, because the property tests would take minutes. No backtraces, because printing one takes longer
  # than the timeouts of the tests.
  def sanitize(name, *options)
    unstable, *cargo = Unstable.cargo
    environment = { "RUSTFLAGS" => "-Zsanitizer=#{name}", "CARGO_TARGET_DIR" => File.expand_path("tmp/safety/#{name}"),
                    "CARGO_PROFILE_TEST_OPT_LEVEL" => "1", "CARGO_PROFILE_DEV_OPT_LEVEL" => "1",
                    "RUST_BACKTRACE" => "0" }
    sh unstable.merge(environment, ENVIRONMENTS.fetch(name)), *cargo, "test", *options, "--target", TARGET, *CRATES,
       "--lib", "--tests", "--no-fail-fast"
  end
end

desc "Check memory and thread safety with every tool that is installed, and list missing tools"
task :safety do
  lacking, able = Safety::NEEDS.keys.partition { |task| Safety.lacking(task) }
  able.each { |task| Rake::Task["safety:#{task}"].invoke }
  abort lacking.map { |task| "Did not run: #{Safety.lacking(task)}" }.join("\n") if lacking.any?
end

namespace :safety do
  # The standard library is instrumented, too. Otherwise its synchronization would be invisible, and reported as races.
  desc "Run the tests of engine and sniffers under ThreadSanitizer"
  task :threads do
    Safety.need("threads")
    Safety.sanitize("thread", "-Zbuild-std")
  end

  desc "Run the tests of engine and sniffers under AddressSanitizer and LeakSanitizer"
  task :memory do
    Safety.sanitize("address")
  end

  # The tests that take less than a minute each in Miri.
  desc "Run the tests of some sniffers in Miri"
  task :miri do
    Safety.need("miri")
    sh({ "MIRIFLAGS" => "-Zmiri-disable-isolation", "PROPTEST_CASES" => "4",
         "CARGO_TARGET_DIR" => File.expand_path("tmp/safety/miri") },
       "cargo", "+nightly", "miri", "test", "-p", "proxymachine-sniff",
       *%w[git postgres socks].flat_map { |name| ["--test", name] })
  end

  desc "Servers whose objects move or are collected all the time, under AddressSanitizer (HUNT_SECONDS)"
  task(:gc) { Safety.need("gc") || SanitizedExtension.new("tmp/safety/gc").build.run("spec/stress/gc_hunt.rb") }

  desc "Run a server under load in Valgrind, and report errors that involve the extension"
  task valgrind: :compile do
    Safety.need("valgrind")
    ruby "spec/stress/valgrind.rb"
  end
end
