# frozen_string_literal: true

# Loaded by each server of the specs under `rake stress`: from `run` on, Ruby collects garbage at every opportunity, so
# that any object which the extension forgets to mark is gone when it is next used.
require "proxymachine"
require "proxymachine/extension" # Loading it under stress takes longer than all the rest.

ProxyMachine.singleton_class.prepend(Module.new do
  def run(*)
    GC.stress = true
    super
  ensure
    GC.stress = false
  end
end)
