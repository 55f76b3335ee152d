# frozen_string_literal: true

# The config's verbs, at hand everywhere: at top level, in modules, classes and methods.
module Kernel
  # Decides where a connection goes, from what it has sent so far.
  #
  #   proxy { |data| { :remote => data.start_with?("GET") ? "10.0.0.1:80" : "10.0.0.2:22" } }
  #
  # A second argument tells who is asking (ProxyMachine::Client); with the name of a listener the block is
  # for its clients only.
  def proxy(listener = nil, &block)
    ProxyMachine.set_router(block, listener)
  end

  # Is called with "host:port" when a backend could not be reached.
  def proxy_connect_error(&block)
    ProxyMachine.set_connect_error_callback(&block)
  end

  # Is called with "host:port" when a backend did not answer within its +:inactivity_timeout+.
  def proxy_inactivity_error(&block)
    ProxyMachine.set_inactivity_error_callback(&block)
  end

  private

  # Is asked before a client has sent anything, for protocols in which the server speaks first.
  #
  #   proxy_accept { |client| { :noop => true, :reply => "220 hello\r\n" } }
  def proxy_accept(&block)
    ProxyMachine.draft.blocks.set(:accept, block)
  end

  # Is asked when the +decision_timeout+ is over, with what has come until then.
  #
  #   decision_timeout 3
  #   proxy_timeout { |data, client| "10.0.0.3:25" }
  def proxy_timeout(&block)
    ProxyMachine.draft.blocks.set(:timeout, block, 2)
  end

  # Listens on one more address.
  #
  #   listen "0.0.0.0:443"
  #   listen "unix:/run/router.sock", :name => :local, :mode => 0660
  def listen(address, options = {})
    ProxyMachine.draft.listeners.add(address, options)
    ProxyMachine.late(:listen)
  end

  # Gives up the rights of root, once the ports are bound.
  def run_as(user, group = nil)
    ProxyMachine.draft.privileges.become(user, group)
    ProxyMachine.late(:run_as)
  end

  ProxyMachine::Settings::ALL.each_key do |name|
    define_method(name) do |value|
      ProxyMachine.draft.settings.set(name, value)
      ProxyMachine.late(name)
    end
  end
end
