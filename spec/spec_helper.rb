# frozen_string_literal: true

# Most specs use ProxyMachine as its users do: they start the real executable with a config file on a free port, and
# talk to it over sockets. Only spec/unit and spec/sniffers load parts of the gem into this process.
require "digest"
require "fileutils"
require "rbconfig"
require "securerandom"
require "socket"
require "tmpdir"
require "time"
require "timeout"

require_relative "support/resource_tracking"
require_relative "support/child"
Dir[File.join(__dir__, "support", "*.rb")].sort.each { |file| require file }

# A shell starts background jobs with QUIT ignored, and child processes inherit that. The servers need the default.
trap("QUIT", "DEFAULT")

RSpec.configure do |config|
  config.disable_monkey_patching!
  config.order = :random
  Kernel.srand config.seed
  config.filter_run_when_matching :focus
  config.expect_with(:rspec) { |expectations| expectations.max_formatted_output_length = 2_000 }

  config.include Eventually
  config.include ClientHelpers
  config.include MissingGems
  config.extend SharedServers

  # Ends an example that hangs. A passing example takes far less, also on a busy machine. Those that take long anyway
  # have a limit of their own.
  config.around do |example|
    limit = example.metadata.fetch(:time_limit, 180) * Eventually::DEADLINE / Eventually::USUAL_DEADLINE
    Timeout.timeout(limit) { example.run }
  end

  config.before { ResourceTracking.begin_example }
  config.after do |example|
    example.metadata[:extra_failure_lines] = ResourceTracking.report.lines.map(&:chomp) if example.exception
    ResourceTracking.end_example
  end
  config.after(:suite) { ResourceTracking.stop_all }
end
