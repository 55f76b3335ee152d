# frozen_string_literal: true

require_relative "testing_config"

# Loads a config from examples/ into this process, as a test of a router does. The configs read their routes from the
# environment while they are loaded. Their certificates are those of the specs.
module ExampleRouter
  module_function

  def load(name, environment = {})
    before = ENV.to_h
    ENV.update(environment)
    TestingConfig.load(ExampleIdentities.existing(source(name)))
  ensure
    ENV.replace(before)
  end

  def source(name)
    File.read(File.join(ProxyProcess::ROOT, "examples", "#{name}.rb"))
  end

  # The names of all examples.
  def names
    Dir.children(File.join(ProxyProcess::ROOT, "examples")).grep(/\.rb\z/).map { |file| file.delete_suffix(".rb") }.sort
  end

  # All inputs that real clients have sent, by name.
  def captures
    Dir.glob("*/*", base: File.join(ProxyProcess::ROOT, "ext", "sniff", "fuzz", "corpus")).sort
       .to_h { |name| [name, Capture.read(name)] }
  end
end
