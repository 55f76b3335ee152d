# frozen_string_literal: true

require_relative "prerequisites"

missing = Prerequisites.missing(:build)
abort missing.map { |need| "proxymachine: #{need.sentence}" }.join("\n") unless missing.empty?

require "mkmf"
require "rb_sys/mkmf"

create_rust_makefile("proxymachine/proxymachine") do |builder|
  builder.auto_install_rust_toolchain = false # Installing a toolchain is up to the user.
  if builder.clean_after_install # RubyGems installs: use the tested versions, and delete the build files.
    builder.extra_cargo_args += ["--locked", "--config", "profile.release.strip=true"]
    builder.rubygems_clean_dirs += ["./target", "$(DLLIB)"]
  end
end
