# frozen_string_literal: true

require_relative "lib/debian_package"
require_relative "lib/debian_trial"

desc "Build the Debian package into pkg, for every Ruby found here and in the matrix (RUBIES=3.1,3.3)"
task deb: ["native:compile", "native:others", "deb:package"]

namespace :deb do
  desc "Pack the Debian package with the extensions that are compiled"
  task :package do
    minors = ENV.key?("RUBIES") ? ENV["RUBIES"].split(",") : NativeGem.compiled
    puts "deb: #{DebianPackage.build(minors)} for Ruby #{minors.join(", ")}"
  end

  desc "Install, run, upgrade, remove and purge the package in clean folders of Debian 12 and 13"
  task :try do
    minors = NativeGem.compiled
    packages = %w[0.1-1 0.2-1].map { |version| DebianPackage.build(minors, into: "tmp/deb", version: version) }
    DebianTrial::RUBIES.each do |suite, minor|
      next warn "deb: not tried on #{suite}: there is no extension for Ruby #{minor}" if minors.none?(minor)

      obstacle = DebianTrial.missing(suite) and abort "rake deb:try: #{obstacle}"
      puts "== Debian #{suite}", DebianTrial.run(suite, packages).lines.grep(/^trial:/)
    end
  end
end
