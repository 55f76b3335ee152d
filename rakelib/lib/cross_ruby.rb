#!/usr/bin/env ruby
# frozen_string_literal: true

# Stands in for another machine's Ruby while rb-sys compiles for it: `RUBY=rakelib/lib/cross_ruby.rb`. It runs a program
# (-e) with the RbConfig of the file that CROSS_RBCONFIG names, whose Ruby cannot run here. That file's directories are
# relative to its own place.

Object.send(:remove_const, :RbConfig)
path = ENV.fetch("CROSS_RBCONFIG")
of_any_ruby = File.read(path).sub(/^ *RUBY_VERSION\.start_with\?.*\n.*\n/, "")
eval(of_any_ruby, TOPLEVEL_BINDING, path) # rubocop:disable Security/Eval -- a part of Ruby
eval(ARGV.fetch(ARGV.index("-e") + 1), TOPLEVEL_BINDING) # rubocop:disable Security/Eval -- rb-sys's own
