# frozen_string_literal: true

require_relative "errors"
require_relative "safe_inspect"

# Loads the native extension, and the classes of its values. ProxyMachine.run does so before it drops privileges, a
# sniffer, +certificates+ and +authorities+ when they are used first. `--help` works without the extension.

class ProxyMachine
  # A precompiled gem has one extension for each of several Ruby versions, in directories named after them. A gem built
  # from source has one for its own Ruby.
  precompiled = Dir.children(__dir__).grep(/\A\d+\.\d+\z/).sort
  version = RUBY_VERSION[/\A\d+\.\d+/]
  begin
    require_relative precompiled.include?(version) ? "#{version}/proxymachine" : "proxymachine"
  rescue LoadError => e
    if precompiled.empty?
      raise ExtensionError, "the native extension is not built (#{SafeInspect.message(e)}): run `rake compile`, or " \
                            "install the gem again"
    end
    raise ExtensionError, "the precompiled extension is for Ruby #{precompiled.join(", ")} and does not load into " \
                          "Ruby #{RUBY_VERSION} here (#{SafeInspect.message(e)}): `gem install proxymachine " \
                          "--platform ruby` builds one that does"
  end
end

require_relative "sniffers/frozen"
require_relative "sniffers/tls"
require_relative "sniffers/http"
require_relative "sniffers/postgres"
require_relative "sniffers/socks"
require_relative "sniffers/ssh"
require_relative "sniffers/git"
require_relative "certificates"
require_relative "authorities"
