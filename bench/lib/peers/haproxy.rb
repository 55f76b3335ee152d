# frozen_string_literal: true

module Bench
  # HAProxy with one thread and content switching.
  class HAProxy < Peer
    ROUTE = <<~TEXT
      acl alpha req.payload(0,0) -m reg ^GET./alpha/
      tcp-request content accept if alpha
      use_backend alpha if alpha
    TEXT
    RULES = {
      "route" => ROUTE,
      "upstream" => ROUTE,
      "close" => "tcp-request content reject if { req.len gt 0 }\n",
      "tls" => "",
      # As configs/crowd.rb: the server's address has the last number of the client's.
      "crowd" => <<~TEXT
        tcp-request content accept if { req.len gt 0 }
        use_backend alpha
      TEXT
    }.freeze
    # A line for each connection, to the standard output, which is a file.
    LOG = ["log stdout format raw local0", "option tcplog"].freeze
    EIGHT = (1..8).map { |number| "server s#{number} 127.2.0.#{number}:%<port>d check inter 2s" }
    SERVERS = { "upstream" => ["balance leastconn", *EIGHT],
                "crowd" => (1..60).map { |number| "server s#{number} 127.2.0.#{number}:%<port>d" } +
                           (1..60).map { |number| "use-server s#{number} if { src 127.1.0.#{number} }" } }.freeze

    # connections:: a lower limit, because spliced connections take descriptors for pipes, too
    # newest:: whether the program of bench/peers is preferred to that on the PATH
    def initialize(defaults: [], globals: [], connections: nil, newest: true)
      super()
      @newest = newest
      @connections = connections
      @defaults = defaults
      @globals = globals
    end

    def missing
      "no haproxy (bench/peers, or Debian: haproxy)" unless program
    end

    def version
      Peer.version(*program, "-v", /version (\S+)/)
    end

    def supports?(config)
      RULES.key?(config)
    end

    def command(setting)
      [[*program, "-db", "-f", setting.file("haproxy.cfg", text(setting))], {}]
    end

    private

    def program
      return PeersFolder.command("haproxy") if @newest && PeersFolder.command("haproxy")

      Peer.executable("haproxy")&.then { |path| [path] }
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
        #{indent(setting.log ? LOG : [])}
        frontend front
          bind 127.0.0.1:#{setting.port} backlog 4096#{" ssl crt #{Identity.file(:ecdsa)}" if setting.config == "tls"}
          #{setting.config == "tls" ? "default_backend alpha" : "tcp-request inspect-delay 120s"}
        #{indent(RULES.fetch(setting.config).lines)}
        backend alpha
        #{indent(servers(setting))}
      TEXT
    end

    def servers(setting)
      SERVERS.fetch(setting.config, ["server one 127.0.0.1:%<port>d"]).map do |line|
        format(line, port: setting.backend)
      end
    end

    def indent(lines)
      lines.map { |line| "  #{line.chomp}" }.join("\n")
    end
  end

  splice = { defaults: ["option splice-request", "option splice-response"], connections: 100 }
  Peer.register("haproxy", HAProxy.new)
  Peer.register("haproxy-path", HAProxy.new(newest: false))
  Peer.register("haproxy-splice", HAProxy.new(**splice))
  Peer.register("haproxy-splice-1m", HAProxy.new(**splice, globals: ["tune.pipesize 1048576"]))
end
