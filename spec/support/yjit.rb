# frozen_string_literal: true

# Ruby's compiler, for which servers under test inherit RUBY_YJIT_ENABLE.
module Yjit
  # Address space that it reserves, which is most of what Ruby needs to start.
  RESERVED = 150_000_000

  def self.enabled?
    defined?(RubyVM::YJIT) && RubyVM::YJIT.enabled?
  end
end
