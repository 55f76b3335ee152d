# frozen_string_literal: true

require_relative "../../ext/proxymachine/prerequisites"

# Gems with an extension, which Debian may have for another Ruby only.
module MissingGems
  NAMES = %w[pg].freeze

  # Skips the examples if a config loads one that this Ruby does not have.
  def skip_without_gems(config)
    loaded = NAMES.select { |name| config.match?(/^require "#{name}"$/) }
    absent = loaded.reject { |name| Prerequisites.gem?(name) }
    skip "there is no gem #{absent.join(", ")} for Ruby #{RUBY_VERSION}" if absent.any?
  end
end
