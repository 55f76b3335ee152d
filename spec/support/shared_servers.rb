# frozen_string_literal: true

# `running(:proxy) { ProxyProcess.start(...) }` in a group starts a server, or an Array of them, once for all examples
# of the group and defines a method of that name. Starting a proxy takes a tenth of a second; hundreds of examples share
# a few dozen proxies.
module SharedServers
  def running(name, &start)
    define_method(name) { instance_variable_get("@#{name}") }
    before(:context) { instance_variable_set("@#{name}", instance_exec(&start)) }
    after(:context) { [*public_send(name)].each(&:stop) }
  end
end
