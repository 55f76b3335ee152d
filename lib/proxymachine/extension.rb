# frozen_string_literal: true

require_relative "errors"

# To require this is to load the native extension and what stands on it. Not everything needs it: the command line
# answers --help without.
begin
  require_relative "proxymachine"
rescue LoadError => e
  raise ProxyMachine::ExtensionError, "the native extension is not built (#{e.message}): " \
                                      "run `rake compile`, or install the gem again"
end

require_relative "sniffers/frozen"
require_relative "sniffers/tls"
require_relative "sniffers/http"
require_relative "sniffers/postgres"
require_relative "sniffers/socks"
require_relative "sniffers/ssh"
require_relative "sniffers/git"
