# frozen_string_literal: true

require_relative "daemon"

# A real nginx with one server, on its own port, for each name. Every response has the server's name and the request.
# `tls` maps the names of TLS servers to options of `listen`. Their certificates are for the name.
class Nginx < Daemon
  TEMPORARY = %w[client_body proxy fastcgi uwsgi scgi].freeze

  # Nginx.start("blue", "green"), Nginx.start("blue.test" => "ssl http2")
  def self.start(*names, **tls)
    super(names.to_h { |name| [name, ""] }.merge(tls.transform_keys(&:to_s)), ports: names.size + tls.size)
  end

  def initialize(*ports, servers)
    dir = Dir.mktmpdir("proxymachine-nginx")
    @names = servers.keys
    blocks = servers.zip(ports).map { |(name, options), port| server(name, options, port, dir) }
    File.write(File.join(dir, "nginx.conf"), configuration(blocks, dir))
    super(ports, "nginx", "-p", dir, "-e", File.join(dir, "error.log"), "-c", File.join(dir, "nginx.conf"), dir: dir)
  end

  # The address of a server by its name.
  def [](name)
    "127.0.0.1:#{ports.fetch(@names.index(name))}"
  end

  # The certificate file of a server.
  def certificate(name)
    File.join(dir, "#{name}.certificate.pem")
  end

  private

  def configuration(blocks, dir)
    temporary = TEMPORARY.map { |kind| "#{kind}_temp_path #{dir}/#{kind};" }
    <<~CONF
      daemon off;
      master_process off;
      pid #{dir}/pid;
      events { worker_connections 256; }
      http {
        access_log off;
        ssl_protocols TLSv1.2 TLSv1.3;
        default_type text/plain;
        #{temporary.join("\n  ")}
        #{blocks.join}
      }
    CONF
  end

  def server(name, options, port, dir)
    key, certificate = Certificate.create(name, dir) if options.include?("ssl")
    <<~CONF
      server {
        listen 127.0.0.1:#{port} #{options};
        #{"ssl_certificate #{certificate}; ssl_certificate_key #{key};" if key}
        location / { return 200 "#{name}: $request_method $http_host $request_uri $server_protocol"; }
      }
    CONF
  end
end
