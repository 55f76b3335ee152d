# frozen_string_literal: true

# Loaded by each server of the specs under `rake stress`. From `run` on, Ruby collects garbage at every allocation, so
# that an object which the extension does not mark is freed before its next use.
require "proxymachine"
require "proxymachine/extension" # loading it under stress would take longer than everything else

ProxyMachine.singleton_class.prepend(Module.new do
  def run(*)
    GC.stress = true
    super
  ensure
    GC.stress = false
  end
end)
