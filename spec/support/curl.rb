# frozen_string_literal: true

require "open3"

# The real curl, without its user's proxies and settings.
module Curl
  ENVIRONMENT = %w[http_proxy https_proxy all_proxy no_proxy].flat_map { |name| [name, name.upcase] }.to_h do |name|
    [name, nil]
  end

  module_function

  # Returns curl's output and its exit status.
  def run(*arguments)
    output, status = Open3.capture2(ENVIRONMENT, "curl", "-q", "--silent", "--max-time", "60", *arguments)
    [output, status.exitstatus]
  end

  # Returns curl's output; raises if curl fails.
  def get(*arguments)
    output, status = run("--fail", *arguments)
    raise "curl #{arguments.join(" ")} exited with #{status}" unless status.zero?

    output
  end
end
