# frozen_string_literal: true

namespace :release do
  desc "Build the gems, the Debian package, the bill of materials and the checksums of a release into pkg"
  task build: %w[build native deb:package] do
    require_relative "lib/release_files"
    ReleaseFiles.new.finish
  end

  desc "Check the list of docs/releasing.md: version, changelog, locks, signatures, reports, packages, checksums"
  task :check do
    require_relative "lib/release_check"
    abort "rake release:check: not ready" unless ReleaseCheck.new.run
  end
end
