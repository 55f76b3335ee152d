# frozen_string_literal: true

module Bench
  # HAProxy with one thread, switching on what the client sent.
  class HAProxy < Peer
    RULES = {
      "route" => <<~TEXT,
        acl alpha req.payload(0,0) -m reg ^GET./alpha/
        tcp-request content accept if alpha
        use_backend alpha if alpha
      TEXT
      "close" => "tcp-request content reject if { req.len gt 0 }\n"
    }.freeze

    # Pipes take descriptors, too: with `connections` there are enough of them.
    def initialize(defaults: [], globals: [], connections: nil)
      super()
      @connections = connections
      @defaults = defaults
      @globals = globals
    end

    def missing
      "no haproxy on the PATH (Debian: haproxy)" unless path
    end

    def version
      Peer.version(path, "-v", /version (\S+)/)
    end

    def plays?(config)
      RULES.key?(config)
    end

    def command(setting)
      [[path, "-db", "-f", setting.file("haproxy.cfg", text(setting))], {}]
    end

    private

    def path
      Peer.executable("haproxy")
    end

    def text(setting)
      connections = @connections || ((Process.getrlimit(:NOFILE).first / 2) - 60)
      <<~TEXT
        global
          nbthread 1
          maxconn #{connections}
        #{indent(@globals)}
        defaults
          mode tcp
          timeout connect 20s
          timeout client 300s
          timeout server 300s
        #{indent(@defaults)}
        frontend front
          bind 127.0.0.1:#{setting.port} backlog 4096
          tcp-request inspect-delay 120s
        #{indent(RULES.fetch(setting.config).lines)}
        backend alpha
          server one 127.0.0.1:#{setting.backend}
      TEXT
    end

    def indent(lines)
      lines.map { |line| "  #{line.chomp}" }.join("\n")
    end
  end

  splice = { defaults: ["option splice-request", "option splice-response"], connections: 100 }
  Peer.register("haproxy", HAProxy.new)
  Peer.register("haproxy-splice", HAProxy.new(**splice))
  Peer.register("haproxy-splice-1m", HAProxy.new(**splice, globals: ["tune.pipesize 1048576"]))
end
