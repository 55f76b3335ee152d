# frozen_string_literal: true

# The config's verbs, at hand everywhere: at top level, in modules, classes and methods.
module Kernel
  # Decides where a connection goes, from what it has sent so far.
  #
  #   proxy { |data| { :remote => data.start_with?("GET") ? "10.0.0.1:80" : "10.0.0.2:22" } }
  def proxy(&block)
    ProxyMachine.set_router(block)
  end

  # Is called with "host:port" when a backend could not be reached.
  def proxy_connect_error(&block)
    ProxyMachine.set_connect_error_callback(&block)
  end

  # Is called with "host:port" when a backend did not answer within its +:inactivity_timeout+.
  def proxy_inactivity_error(&block)
    ProxyMachine.set_inactivity_error_callback(&block)
  end
end
