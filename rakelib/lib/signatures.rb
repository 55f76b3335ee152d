# frozen_string_literal: true

require "rbconfig"
require "yaml"

# The types of sig/, which users' tools load together with the libraries that manifest.yaml names.
module Signatures
  MANIFEST = File.expand_path("../../sig/manifest.yaml", __dir__)

  # Returns the command that validates the types with these libraries alone.
  def self.validation
    libraries = YAML.load_file(MANIFEST)["dependencies"].flat_map { |entry| ["-r", entry["name"]] }
    [RbConfig.ruby, "-e", 'gem "rbs"; load Gem.bin_path("rbs", "rbs")', "--", *libraries, "-I", "sig", "validate"]
  end
end
