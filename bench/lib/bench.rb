# frozen_string_literal: true

# The benchmarks of ProxyMachine: see bench/README.md.
module Bench
  ROOT = File.expand_path("../..", __dir__)
  CONFIGS = File.join(ROOT, "bench/configs")

  # A run is impossible. The message is printed on the terminal.
  class Error < StandardError; end
end

require_relative "ports"
require_relative "cpu_pinning"
require_relative "child"
require_relative "peers_folder"
require_relative "identity"
require_relative "peer"
require_relative "load_generator"
require_relative "machine"
require_relative "candidate"
require_relative "suite"
require_relative "statistics"
require_relative "runner"
require_relative "report"
require_relative "options"
