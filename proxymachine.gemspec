# frozen_string_literal: true

require_relative "lib/proxymachine/version"

Gem::Specification.new do |spec|
  spec.name = "proxymachine"
  spec.version = ProxyMachine::VERSION
  spec.summary = "Content-aware TCP routing proxy: your Ruby block decides, a native engine carries the bytes."
  spec.description = <<~TEXT
    ProxyMachine accepts TCP connections, shows the first bytes of each to a block of Ruby, and joins the
    client to the server that the block names. Version 2 runs the config files of version 1 unchanged, on an
    engine written in Rust.
  TEXT
  spec.authors = ["Tom Preston-Werner", "The ProxyMachine 2.0 authors"]
  spec.homepage = "https://github.com/mojombo/proxymachine"
  spec.license = "MIT"
  spec.metadata = { "rubygems_mfa_required" => "true", "cargo_crate_name" => "proxymachine" }

  # By patterns, not by asking git, so that an unpacked source archive builds the same gem.
  spec.files = Dir.chdir(__dir__) do
    Dir["{lib,examples,docs}/**/*.{rb,md,template}", "exe/*", "contrib/*.*", "contrib/completion/*proxymachine{,.bash}",
        "man/*.1", "sig/*", "Cargo.{toml,lock}", "*.md", ".yardopts", "LICENSE",
        "ext/{admin,engine,proxymachine,sniff}/{src/**/*.rs,*.rb,Cargo.toml}", "ext/admin/src/page.*"]
  end
  spec.bindir = "exe"
  spec.executables = ["proxymachine"]
  spec.extensions = ["ext/proxymachine/extconf.rb"]

  spec.required_ruby_version = ">= 3.1"
  spec.add_dependency "logger", "~> 1.5" # A bundled gem since Ruby 4.0, which Bundler does not load by itself.
  spec.add_dependency "rb_sys", "~> 0.9.87"
end
