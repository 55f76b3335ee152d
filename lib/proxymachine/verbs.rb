# frozen_string_literal: true

# The config's verbs, at hand everywhere: at top level, in modules, classes and methods. Whatever one is given that
# it does not take is a ProxyMachine::ConfigError.
module Kernel
  # Decides where a connection goes, from what it has sent so far.
  #
  #   proxy { |data| { :remote => data.start_with?("GET") ? "10.0.0.1:80" : "10.0.0.2:22" } }
  #
  # @param listener [Symbol, String, nil] the name of a listener, for whose clients alone the block is
  # @yieldparam data [String] all bytes that have come, never empty; binary, and the block's own
  # @yieldparam client [ProxyMachine::Client] who is asking
  # @yieldreturn [Hash, String, Symbol] an answer, as docs/reference.md lists them
  # @return [void]
  # @raise [ProxyMachine::ConfigError] if +listener+ cannot be a name
  def proxy(listener = nil, &block)
    ProxyMachine.set_router(block, listener)
  end

  # Is called when a backend could not be reached, or closed without having sent a byte.
  #
  #   proxy_connect_error { |remote| LOGGER.warn("#{remote} is down") }
  #
  # @yieldparam remote [String] "host:port"
  # @yieldreturn [Hash, Object] with +:remote+ or words in +:close+; anything else means nothing
  # @return [void]
  def proxy_connect_error(&block)
    ProxyMachine.set_connect_error_callback(&block)
  end

  # Is called when a backend did not send its first byte within the +:inactivity_timeout+ of the answer.
  #
  #   proxy_inactivity_error { |remote| LOGGER.warn("#{remote} is silent") }
  #
  # @yieldparam remote [String] "host:port"
  # @yieldreturn [Hash, Object] with words in +:close+; anything else means nothing
  # @return [void]
  def proxy_inactivity_error(&block)
    ProxyMachine.set_inactivity_error_callback(&block)
  end

  private

  # @!visibility public

  # Is asked before a client has sent anything, for protocols in which the server speaks first.
  #
  #   proxy_accept { |client| { :noop => true, :reply => "220 hello\r\n" } }
  #
  # @yieldparam client [ProxyMachine::Client]
  # @yieldreturn [Hash, String, Symbol, nil] an answer; nil waits
  # @return [void]
  def proxy_accept(&block)
    ProxyMachine.draft.blocks.set(:accept, block)
  end

  # Is asked when the +decision_timeout+ is over, with what has come until then.
  #
  #   decision_timeout 3
  #   proxy_timeout { |data, client| "10.0.0.3:25" }
  #
  # @yieldparam data [String] all bytes that have come, perhaps none
  # @yieldparam client [ProxyMachine::Client]
  # @yieldreturn [Hash, String, Symbol] an answer; to wait is to wait as long again
  # @return [void]
  def proxy_timeout(&block)
    ProxyMachine.draft.blocks.set(:timeout, block, 2)
  end

  # Listens on one more address.
  #
  #   listen "0.0.0.0:443"
  #   listen "unix:/run/router.sock", :name => :local, :mode => 0660
  #
  # @param address [String] "host:port", "unix:/path" or "unix:@name"
  # @param options [Hash] +:name+, +:proxy_protocol+, +:mode+, +:user+, +:group+, as docs/reference.md lists them
  # @return [void]
  # @raise [ProxyMachine::ConfigError] naming the option that is wrong
  def listen(address, options = {})
    ProxyMachine.draft.listeners.add(address, options)
    ProxyMachine.late(:listen)
  end

  # Gives up the rights of root, once the ports are bound.
  #
  #   run_as "nobody"
  #
  # @param user [String, nil] whom to become
  # @param group [String, nil] the user's own if it is nil
  # @return [void]
  # @raise [ProxyMachine::ConfigError] if there is no such user or group
  def run_as(user, group = nil)
    ProxyMachine.draft.privileges.become(user, group)
    ProxyMachine.late(:run_as)
  end

  # Each setting is a verb, too, with one argument: docs/settings.md lists them.
  ProxyMachine::Settings::ALL.each_key do |name|
    define_method(name) do |value|
      ProxyMachine.draft.settings.set(name, value)
      ProxyMachine.late(name)
    end
  end
end
