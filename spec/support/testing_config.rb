# frozen_string_literal: true

require_relative "../../lib/proxymachine/testing"

# Loads configs into this process, as the tests of a router do. Nothing is started.
module TestingConfig
  module_function

  # Writes files into a directory of their own and loads the first of them.
  def load(source, files = {})
    Dir.mktmpdir("proxymachine-spec") do |dir|
      write(dir, files.merge("router.rb" => source))
      ProxyMachine::Testing.load(File.join(dir, "router.rb"))
    end
  end

  def write(dir, files)
    files.each { |name, text| File.write(File.join(dir, name), text) }
  end
end
