# frozen_string_literal: true

# The benchmarks of ProxyMachine: see bench/README.md.
module Bench
  ROOT = File.expand_path("../..", __dir__)
  CONFIGS = File.join(ROOT, "bench/configs")

  # What a run cannot do without is missing; the message is for the person at the terminal.
  class Trouble < StandardError; end
end

require_relative "ports"
require_relative "processors"
require_relative "child"
require_relative "peer"
require_relative "loader"
require_relative "machine"
require_relative "contender"
require_relative "catalog"
require_relative "figures"
require_relative "runner"
require_relative "report"
require_relative "options"
