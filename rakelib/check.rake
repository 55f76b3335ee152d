# frozen_string_literal: true

# Parts of bin/test, for use while working.
module Check
  extend Rake::DSL

  PURE_CRATES = %w[-p proxymachine-admin -p proxymachine-engine -p proxymachine-sniff].freeze
  SMOKE_SPEC = "spec/examples/demo_spec.rb"

  module_function

  # Without this, parallel_tests would run `bundle exec rspec`, because there is a Gemfile.
  RSPEC = { "PARALLEL_TESTS_EXECUTABLE" => "ruby -S rspec" }.freeze

  # The unit tests of the crates without Ruby. Compiling them would take a minute, so that `rake quick` needs a tree in
  # which bin/test or cargo has built them before.
  def unit_tests
    built = Dir.exist?("target/debug")
    return puts("quick: skipped the unit tests of the crates: target/debug is not built") unless built

    sh "cargo", "test", "--quiet", "--locked", "--lib", *PURE_CRATES
  end

  # RuboCop reports the same under each Ruby. Beside a newer one, Debian has what it needs for its own Ruby only.
  def rubocop(*arguments)
    rubies = ["ruby", *Dir["/usr/bin/ruby[0-9]*"].sort]
    able = rubies.find { |ruby| system(ruby, "-S", "rubocop", "--version", %i[out err] => File::NULL) }
    sh able || "ruby", "-S", "rubocop", *arguments
  end

  def seconds
    start = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    yield
    (Process.clock_gettime(Process::CLOCK_MONOTONIC) - start).round
  end
end

desc "Check formatting and style, and run the unit tests and one smoke spec: the loop while working"
task :quick do
  seconds = Check.seconds do
    sh "cargo", "fmt", "--all", "--check"
    Check.rubocop("--format", "quiet")
    Check.unit_tests
    sh "ruby", "-S", "rspec", "spec/unit", Check::SMOKE_SPEC
  end
  puts "quick: #{seconds} s"
end

desc "Run all specs in parallel"
task spec: :compile do
  sh Check::RSPEC, "ruby", "-S", "parallel_rspec", "-n", "4", "spec"
end

desc "Check formatting and style of Rust and Ruby"
task :lint do
  sh "cargo", "fmt", "--all", "--check"
  sh "cargo", "clippy", "--quiet", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"
  Check.rubocop
end

desc "Check the style of Ruby"
task(:style) { Check.rubocop }

desc "Format Rust and correct the style of Ruby"
task :fmt do
  sh "cargo", "fmt", "--all"
  Check.rubocop("--autocorrect")
end
