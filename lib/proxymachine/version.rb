# frozen_string_literal: true

class ProxyMachine
  # The gem's version.
  VERSION = "2.0.0.pre1"
end
