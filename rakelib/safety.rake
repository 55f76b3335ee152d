# frozen_string_literal: true

require_relative "unstable"

# Memory and thread safety: the tests of the crates without Ruby under the sanitizers and Miri, and the extension in a
# real server under Valgrind.
module Safety
  extend Rake::DSL

  TARGET = "x86_64-unknown-linux-gnu"
  CRATES = %w[-p proxymachine-engine -p proxymachine-sniff].freeze
  ENVIRONMENTS = {
    "thread" => { "TSAN_OPTIONS" => "halt_on_error=0" },
    "address" => { "ASAN_OPTIONS" => "detect_leaks=1:detect_stack_use_after_return=1" }
  }.freeze
  # What a task needs, and whether it is there.
  NEEDS = {
    "threads" => ["the sources of Rust's standard library: rustup component add rust-src", -> { Unstable.sources? }],
    "memory" => ["nothing", -> { true }],
    "miri" => ["Miri: rustup component add miri rust-src --toolchain nightly", -> { Unstable.miri? }],
    "valgrind" => ["Valgrind: apt-get install valgrind", -> { Unstable.works?("valgrind", "--version") }]
  }.freeze

  module_function

  # Why a task cannot run; nil if it can.
  def lacking(task)
    need, found = NEEDS.fetch(task)
    "safety:#{task} needs #{need}" unless found.call
  end

  def need(task)
    reason = lacking(task)
    abort reason if reason
  end

  # Optimised a little, or the property tests take minutes; and without backtraces: to print one takes longer than the
  # tests wait.
  def sanitize(name, *options)
    unstable, *cargo = Unstable.cargo
    environment = { "RUSTFLAGS" => "-Zsanitizer=#{name}", "CARGO_TARGET_DIR" => File.expand_path("tmp/safety/#{name}"),
                    "CARGO_PROFILE_TEST_OPT_LEVEL" => "1", "CARGO_PROFILE_DEV_OPT_LEVEL" => "1",
                    "RUST_BACKTRACE" => "0" }
    sh unstable.merge(environment, ENVIRONMENTS.fetch(name)), *cargo, "test", *options, "--target", TARGET, *CRATES,
       "--lib", "--tests", "--no-fail-fast"
  end
end

desc "Everything about memory and threads that tools can find; what lacks its tool is told at the end"
task :safety do
  lacking, able = Safety::NEEDS.keys.partition { |task| Safety.lacking(task) }
  able.each { |task| Rake::Task["safety:#{task}"].invoke }
  abort lacking.map { |task| "Did not run: #{Safety.lacking(task)}" }.join("\n") if lacking.any?
end

namespace :safety do
  # The standard library is built with the sanitizer, too: what that does not see it would take for a race.
  desc "The engine's and the sniffers' tests under ThreadSanitizer"
  task :threads do
    Safety.need("threads")
    Safety.sanitize("thread", "-Zbuild-std")
  end

  desc "The same under AddressSanitizer and LeakSanitizer"
  task :memory do
    Safety.sanitize("address")
  end

  # Those that take less than a minute each there.
  desc "The tests of some sniffers in Miri"
  task :miri do
    Safety.need("miri")
    sh({ "MIRIFLAGS" => "-Zmiri-disable-isolation", "PROPTEST_CASES" => "4",
         "CARGO_TARGET_DIR" => File.expand_path("tmp/safety/miri") },
       "cargo", "+nightly", "miri", "test", "-p", "proxymachine-sniff",
       *%w[git postgres socks].flat_map { |name| ["--test", name] })
  end

  desc "A server under load in Valgrind: errors that the extension has a part in"
  task valgrind: :compile do
    Safety.need("valgrind")
    ruby "spec/stress/valgrind.rb"
  end
end
