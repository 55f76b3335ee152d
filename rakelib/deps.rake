# frozen_string_literal: true

# The checks of local files need no network. The check of advisories downloads their database.
deny = lambda do |*checks|
  unless system("cargo", "deny", "--version", out: File::NULL, err: File::NULL)
    abort "rake deps needs cargo-deny: cargo install cargo-deny --locked (some minutes, once)"
  end
  sh "cargo", "deny", "--locked", "check", *checks
end

desc "Check licenses, sources and duplicates of the Rust dependencies, as deny.toml has it"
task(:deps) { deny.call("bans", "licenses", "sources") }

namespace :deps do
  desc "Check the Rust dependencies for known defects; needs the network"
  task(:advisories) { deny.call("advisories") }
end
