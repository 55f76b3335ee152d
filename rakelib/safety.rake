# frozen_string_literal: true

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
  COMPONENTS = {
    "the nightly Rust" => [%w[cargo +nightly --version], "rustup toolchain install nightly --profile minimal"],
    "rust-src" => [%w[sh -c] + ['test -d "$(rustc +nightly --print sysroot)/lib/rustlib/src/rust/library"'],
                   "rustup component add rust-src --toolchain nightly"],
    "Miri" => [%w[cargo +nightly miri --version], "rustup component add miri --toolchain nightly"],
    "Valgrind" => [%w[valgrind --version], "apt-get install valgrind"]
  }.freeze

  module_function

  def need(*names)
    missing = COMPONENTS.slice(*names).reject { |_, (command, _)| works?(command) }
    abort missing.map { |name, (_, how)| "needs #{name}: #{how}" }.join("\n") if missing.any?
  end

  def works?(command)
    system(*command, out: File::NULL, err: File::NULL)
  end

  # The standard library is built with the sanitizer, too: what it does not see it would take for a race. Optimised a
  # little, or the property tests take minutes; and without backtraces: to print one takes longer than the tests wait.
  def sanitize(name)
    environment = { "RUSTFLAGS" => "-Zsanitizer=#{name}", "CARGO_TARGET_DIR" => File.expand_path("tmp/safety/#{name}"),
                    "CARGO_PROFILE_TEST_OPT_LEVEL" => "1", "CARGO_PROFILE_DEV_OPT_LEVEL" => "1",
                    "RUST_BACKTRACE" => "0" }
    sh environment.merge(ENVIRONMENTS.fetch(name)), "cargo", "+nightly", "test", "-Zbuild-std", "--target", TARGET,
       *CRATES, "--lib", "--tests", "--no-fail-fast"
  end
end

desc "Everything about memory and threads that tools can find"
task safety: %w[safety:threads safety:memory safety:miri safety:valgrind]

namespace :safety do
  desc "The engine's and the sniffers' tests under ThreadSanitizer"
  task :threads do
    Safety.need("the nightly Rust", "rust-src")
    Safety.sanitize("thread")
  end

  desc "The same under AddressSanitizer and LeakSanitizer"
  task :memory do
    Safety.need("the nightly Rust", "rust-src")
    Safety.sanitize("address")
  end

  # Those that take less than a minute each there.
  desc "The tests of some sniffers in Miri"
  task :miri do
    Safety.need("the nightly Rust", "rust-src", "Miri")
    sh({ "MIRIFLAGS" => "-Zmiri-disable-isolation", "PROPTEST_CASES" => "4",
         "CARGO_TARGET_DIR" => File.expand_path("tmp/safety/miri") },
       "cargo", "+nightly", "miri", "test", "-p", "proxymachine-sniff",
       *%w[git postgres socks].flat_map { |name| ["--test", name] })
  end

  desc "A server under load in Valgrind: errors that the extension has a part in"
  task valgrind: :compile do
    Safety.need("Valgrind")
    ruby "spec/stress/valgrind.rb"
  end
end
