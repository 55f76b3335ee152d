# frozen_string_literal: true

# The specs treat ProxyMachine as its users do: they start the real executable with a config file on a port that the
# system chooses, and talk to it over sockets. Of the gem, only the sniffers are ever
# loaded into this process.
require "digest"
require "fileutils"
require "rbconfig"
require "securerandom"
require "socket"
require "tmpdir"
require "time"
require "timeout"

require_relative "support/owned"
require_relative "support/child"
Dir[File.join(__dir__, "support", "*.rb")].sort.each { |file| require file }

# Whoever runs in the background of a script ignores QUIT (sh, "&"), and so would the servers that start here.
trap("QUIT", "DEFAULT")

RSpec.configure do |config|
  config.disable_monkey_patching!
  config.order = :random
  Kernel.srand config.seed
  config.filter_run_when_matching :focus
  config.expect_with(:rspec) { |expectations| expectations.max_formatted_output_length = 2_000 }

  config.include Eventually
  config.include Talking
  config.extend SharedServers

  # The backstop: whatever hangs ends here. No example comes near it unless something is wrong.
  config.around { |example| Timeout.timeout(90) { example.run } }

  config.before { Owned.begin_example }
  config.after do |example|
    example.metadata[:extra_failure_lines] = Owned.report.lines.map(&:chomp) if example.exception
    Owned.end_example
  end
  config.after(:suite) { Owned.stop_all }
end
