# frozen_string_literal: true

require_relative "errors"

# To require this is to load the native extension and what stands on it. Not everything needs it: the command line
# answers --help without.
class ProxyMachine
  # A precompiled gem has one for each of some Rubies, in directories named after them; what is built from source is
  # for one Ruby.
  precompiled = Dir.children(__dir__).grep(/\A\d+\.\d+\z/).sort
  here = RUBY_VERSION[/\A\d+\.\d+/]
  begin
    require_relative precompiled.include?(here) ? "#{here}/proxymachine" : "proxymachine"
  rescue LoadError => e
    if precompiled.empty?
      raise ExtensionError, "the native extension is not built (#{e.message}): run `rake compile`, or install the " \
                            "gem again"
    end
    raise ExtensionError, "the precompiled extension is for Ruby #{precompiled.join(", ")} and does not load into " \
                          "Ruby #{RUBY_VERSION} here (#{e.message}): `gem install proxymachine --platform ruby` " \
                          "builds one that does"
  end
end

require_relative "sniffers/frozen"
require_relative "sniffers/tls"
require_relative "sniffers/http"
require_relative "sniffers/postgres"
require_relative "sniffers/socks"
require_relative "sniffers/ssh"
require_relative "sniffers/git"
