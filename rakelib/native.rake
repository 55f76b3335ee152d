# frozen_string_literal: true

require_relative "lib/native_gem"
require_relative "lib/debian_folder"

desc "Build extensions for every Ruby found here and in the matrix, and pack the precompiled gem (RUBIES=3.3,3.4)"
task native: ["native:compile", "native:others", "native:package"]

namespace :native do
  desc "Build the precompiled gem's extension for this Ruby"
  task compile: "^compile" do
    NativeGem.add(Dir["tmp/*/proxymachine/#{RUBY_VERSION}/proxymachine.so"].first, NativeGem.minor)
  end

  # Uses the other Rubies of version managers and Debian, and the Debian folders that `rake matrix` has created.
  task :others do
    NativeGem.other_rubies.each_value do |ruby|
      compiled = system(ruby, "-r./rakelib/lib/native_gem", "-e", "NativeGem.compile")
      warn "native: not built for #{ruby}" unless compiled
    end
    DebianFolder.made.each { |folder| NativeGem.compile_in(folder) }
  end

  desc "Pack the precompiled gem into pkg (RUBIES=3.3,3.4; default: all versions around this Ruby's without a gap)"
  task :package do
    minors = ENV.key?("RUBIES") ? ENV["RUBIES"].split(",") : NativeGem.choice
    puts "native: #{NativeGem.package(minors)} for Ruby #{minors.join(", ")}"
    left = NativeGem.compiled - minors
    warn "native: left out Ruby #{left.join(", ")}; RUBIES= selects the versions" if left.any?
    gap = NativeGem.gap(minors)
    warn "native: Ruby #{gap.join(", ")} may install this gem, but it has nothing for it" if gap.any?
  end
end
