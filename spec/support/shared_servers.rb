# frozen_string_literal: true

# `running(:proxy) { ProxyProcess.start(...) }` in a group starts something once for all its examples, in the order
# written, and names it. Starting a proxy takes a tenth of a second; hundreds of examples share a few dozen.
module SharedServers
  def running(name, &start)
    define_method(name) { instance_variable_get("@#{name}") }
    before(:context) { instance_variable_set("@#{name}", instance_exec(&start)) }
    after(:context) { public_send(name)&.stop }
  end
end
