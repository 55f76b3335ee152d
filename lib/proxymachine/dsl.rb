# frozen_string_literal: true

require_relative "config/settings"

# The verbs of a config. They can be called at top level, in modules, classes and methods. An argument that a verb does
# not take raises ProxyMachine::ConfigError.
module Kernel
  # Sets the block that decides where a connection goes, from the bytes that the client has sent.
  #
  #   proxy { |data| { :remote => data.start_with?("GET") ? "10.0.0.1:80" : "10.0.0.2:22" } }
  #
  # @param listener [Symbol, String, nil] the name of the listener for whose clients the block is; nil for all others
  # @yieldparam data [String] all bytes received so far, at least one; binary, and a copy of the block's own
  # @yieldparam client [ProxyMachine::Client] the client
  # @yieldreturn [Hash, String, Symbol] an answer, as docs/reference.md lists them
  # @return [void]
  # @raise [ProxyMachine::ConfigError] if +listener+ cannot be a name
  def proxy(listener = nil, &block)
    ProxyMachine.set_router(block, listener)
  end

  # Sets the block that is called when a backend could not be reached, or closed without sending a byte.
  #
  #   proxy_connect_error { |remote| LOGGER.warn("#{remote} is down") }
  #
  # @yieldparam remote [String] "host:port"
  # @yieldreturn [Hash, Object] with +:remote+ another backend, or with +:close+ last words; other values have no effect
  # @return [void]
  def proxy_connect_error(&block)
    ProxyMachine.set_connect_error_callback(&block)
  end

  # Sets the block that is called when a backend did not send its first byte within the answer's +:inactivity_timeout+.
  #
  #   proxy_inactivity_error { |remote| LOGGER.warn("#{remote} is silent") }
  #
  # @yieldparam remote [String] "host:port"
  # @yieldreturn [Hash, Object] with +:close+ last words; other values have no effect
  # @return [void]
  def proxy_inactivity_error(&block)
    ProxyMachine.set_inactivity_error_callback(&block)
  end

  private

  # @!visibility public

  # Sets the block that is called before a client has sent a byte, for protocols in which the server speaks first.
  #
  #   proxy_accept { |client| { :noop => true, :reply => "220 hello\r\n" } }
  #
  # @yieldparam client [ProxyMachine::Client] the client
  # @yieldreturn [Hash, String, Symbol, nil] an answer; nil waits
  # @return [void]
  def proxy_accept(&block)
    ProxyMachine.edited_config.blocks.set(:accept, block)
  end

  # Sets the block that is called after the +decision_timeout+, with the bytes received so far.
  #
  #   decision_timeout 3
  #   proxy_timeout { |data, client| "10.0.0.3:25" }
  #
  # @yieldparam data [String] all bytes received so far, perhaps none
  # @yieldparam client [ProxyMachine::Client] the client
  # @yieldreturn [Hash, String, Symbol] an answer; +:noop+ waits for another +decision_timeout+
  # @return [void]
  def proxy_timeout(&block)
    ProxyMachine.edited_config.blocks.set(:timeout, block, 2)
  end

  # Adds an address to listen on.
  #
  #   listen "0.0.0.0:443"
  #   listen "unix:/run/router.sock", :name => :local, :mode => 0660
  #
  # @param address [String] "host:port", "unix:/path" or "unix:@name"
  # @param options [Hash] +:name+, +:proxy_protocol+, +:mode+, +:user+, +:group+, as docs/reference.md lists them
  # @return [void]
  # @raise [ProxyMachine::ConfigError] naming the wrong option
  def listen(address, options = {})
    ProxyMachine.edited_config.listeners.add(address, options)
    ProxyMachine.warn_if_ignored(:listen)
  end

  # Declares an upstream: a group of servers that answers name, as in +{ :remote => :db }+.
  #
  #   upstream :db, "10.0.0.1:5432", "10.0.0.2:5432", :max_connections => 50, :queue_timeout => 5, :check => 2
  #   upstream(:web, :every => 10) { Dir.children("/run/web").map { |file| "unix:/run/web/#{file}" } }
  #
  # @param name [Symbol, String]
  # @param servers [Array<String>] "host:port" or "unix:/path"; none with a block
  # @param options [Hash] +:balance+, +:weights+, +:max_connections+ and others, as docs/reference.md lists them
  # @yieldreturn [Array<String>] the servers, asked for at the start and then +:every+ so many seconds, on a thread of
  #   its own
  # @return [void]
  # @raise [ProxyMachine::ConfigError] naming the upstream and the wrong option or server
  def upstream(name, *servers, **options, &block)
    return if ProxyMachine.warn_if_ignored(:upstream)

    ProxyMachine.edited_config.upstreams.add(name, servers, options, block)
  end

  # Decides which servers of an upstream are up, instead of connecting to them. The block runs on threads of its own. If
  # it does not return within the upstream's +:check_timeout+, the server is down.
  #
  #   upstream_check(:db) do |remote|
  #     host, port = remote.split(":")
  #     `psql -h #{host} -p #{port} -U postgres -Atc "SELECT pg_is_in_recovery()"`.start_with?("f")
  #   end
  #
  # @param name [Symbol, String] of the upstream
  # @yieldparam remote [String] the server, as the upstream has it
  # @yieldreturn [Boolean, Integer, nil] true is up, false and nil are down, an Integer is up with that weight
  # @return [void]
  # @raise [ProxyMachine::ConfigError] without a block
  def upstream_check(name, &block)
    return if ProxyMachine.warn_if_ignored(:upstream_check)

    ProxyMachine.edited_config.upstreams.add_check(name, block)
  end

  # Returns the certificates that TLS clients see, for +:tls+ in an answer or of a listener. It may be called anywhere,
  # also in a block: what a text says is kept.
  #
  #   CERTIFICATES = certificates "/etc/proxymachine/tls/*.pem"
  #   proxy { |data| { :tls => CERTIFICATES } }
  #
  # @param paths [Array<String>] PEM files, globs allowed. Each has a chain, leaf first, and its key, which may stand
  #   beside it as NAME.key, or as privkey.pem beside fullchain.pem
  # @param options [Hash] +:pem+ (String: chain and key, instead of paths), +:alpn+ (Array of Strings), +:min_version+
  #   ("1.2" or "1.3"), +:client+ (Authorities that sign the certificates of clients), +:client_optional+ and +:strict+
  #   (true or false), as docs/reference.md lists them
  # @return [ProxyMachine::Certificates]
  # @raise [ProxyMachine::ConfigError] naming the file or the option, and the cure
  def certificates(*paths, **options)
    ProxyMachine::Certificates.load(paths, options)
  end

  # Returns those whose signatures under the certificates of servers and clients are trusted, for +:remote_tls+ in an
  # answer and +:client+ of +certificates+.
  #
  #   INTERNAL = authorities "/etc/proxymachine/internal-ca.pem"
  #   proxy { |data| { :remote => "10.0.0.1:443", :remote_tls => INTERNAL.for("db.internal") } }
  #
  # @param paths [Array<String>] PEM files, globs allowed; none for those of the system
  # @param options [Hash] +:certificate+ (String: the path of what we show to servers), +:alpn+ (Array of Strings),
  #   +:min_version+ ("1.2" or "1.3"), +:crl+ (String: the path of revocation lists), +:starttls+ (+:postgres+, or an
  #   Array of what to send and what must come), +:verify+ (true or false), as docs/reference.md lists them
  # @return [ProxyMachine::Authorities]
  # @raise [ProxyMachine::ConfigError] naming the file or the option, and the cure
  def authorities(*paths, **options)
    ProxyMachine::Authorities.load(paths, options)
  end

  # Drops root's privileges after the listeners are bound.
  #
  #   run_as "nobody"
  #
  # @param user [String, nil] user to switch to
  # @param group [String, nil] group to switch to; nil for the user's own
  # @return [void]
  # @raise [ProxyMachine::ConfigError] if there is no such user or group
  def run_as(user, group = nil)
    ProxyMachine.edited_config.privileges.run_as(user, group)
    ProxyMachine.warn_if_ignored(:run_as)
  end

  # Each setting is a verb, with one argument or with any number of them: docs/settings.md lists them.
  ProxyMachine::Config::Settings::ALL.each do |name, setting|
    set = lambda do |value|
      ProxyMachine.edited_config.settings.set(name, value)
      ProxyMachine.warn_if_ignored(name)
    end
    if setting.default.is_a?(Array)
      define_method(name) { |*values| set.call(values) }
    else
      define_method(name) { |value| set.call(value) }
    end
  end
end
