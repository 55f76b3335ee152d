# frozen_string_literal: true

require_relative "lib/native_gem"
require_relative "lib/debian_folder"

desc "Build precompiled gems' extensions for every Ruby found here and in the matrix, and pack them (RUBIES=3.3,3.4)"
task native: ["native:compile", "native:others", "native:package"]

namespace :native do
  desc "Build the precompiled gem's extension for this Ruby"
  task compile: "^compile" do
    NativeGem.add(Dir["tmp/*/proxymachine/#{RUBY_VERSION}/proxymachine.so"].first, NativeGem.minor)
  end

  # Other Rubies where version managers and Debian put them, and the Debians that `rake matrix` has made.
  task :others do
    NativeGem.other_rubies.each_value do |ruby|
      compiled = system(ruby, "-r./rakelib/lib/native_gem", "-e", "NativeGem.compile")
      warn "native: not built for #{ruby}" unless compiled
    end
    DebianFolder.made.each { |folder| NativeGem.compile_in(folder) }
  end

  desc "Pack the precompiled gem into pkg (RUBIES=3.3,3.4; else all around this Ruby's version without a gap)"
  task :package do
    minors = ENV.key?("RUBIES") ? ENV["RUBIES"].split(",") : NativeGem.choice
    puts "native: #{NativeGem.package(minors)} for Ruby #{minors.join(", ")}"
    left = NativeGem.compiled - minors
    warn "native: left out Ruby #{left.join(", ")}; RUBIES= names what to pack" if left.any?
    gap = NativeGem.gap(minors)
    warn "native: Ruby #{gap.join(", ")} may install this gem, but it has nothing for it" if gap.any?
  end
end
