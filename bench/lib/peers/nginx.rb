# frozen_string_literal: true

module Bench
  # nginx's stream proxy with an njs preread handler.
  class Nginx < Peer
    MODULES = %w[ngx_stream_module.so ngx_stream_js_module.so].freeze
    FOLDERS = %w[/usr/lib/nginx/modules /usr/lib64/nginx/modules /usr/local/libexec/nginx].freeze

    SCRIPT = <<~TEXT
      var alpha = /^GET \\/alpha\\//;
      function preread(s) {
        s.on('upload', function (data, flags) {
          if (alpha.test(data)) { s.done(); } else if (flags.last) { s.deny(); }
        });
      }
      function target(s) { return '127.0.0.1:PORT'; }
      export default { preread, target };
    TEXT

    def missing
      return "no nginx (bench/peers, or Debian: #{PeersFolder::NGINX.join(" ")})" unless program

      "no stream and njs modules (Debian: libnginx-mod-stream libnginx-mod-stream-js)" unless modules
    end

    def version
      Peer.version(*program, "-v", %r{nginx/(\S+)})
    end

    def supports?(config)
      %w[route tls].include?(config)
    end

    def command(setting)
      script = setting.file("route.js", SCRIPT.sub("PORT", setting.backend.to_s))
      file = setting.file("nginx.conf", text(setting, script))
      [[*program, "-p", setting.directory, "-e", File.join(setting.directory, "nginx-error.log"), "-c", file], {}]
    end

    private

    def program
      PeersFolder.command("nginx") || Peer.executable("nginx")&.then { |path| [path] }
    end

    def modules
      return PeersFolder.modules if PeersFolder.command("nginx")

      FOLDERS.find { |folder| MODULES.all? { |name| File.exist?(File.join(folder, name)) } }
    end

    def server(setting)
      listen = "listen 127.0.0.1:#{setting.port} backlog=4096"
      return ["#{listen};", "js_preread route.preread;", "proxy_pass $target;"] unless setting.config == "tls"

      ["#{listen} ssl;", "ssl_certificate #{Identity.file(:ecdsa)};", "ssl_certificate_key #{Identity.file(:ecdsa)};",
       "ssl_protocols TLSv1.3;", "proxy_pass 127.0.0.1:#{setting.backend};"]
    end

    def text(setting, script)
      <<~TEXT
        #{MODULES.map { |name| "load_module #{modules}/#{name};" }.join("\n")}
        daemon off;
        master_process off;
        pid #{setting.directory}/#{setting.port}.pid;
        error_log #{setting.directory}/nginx-error.log crit;
        events { worker_connections #{Process.getrlimit(:NOFILE).first}; }
        stream {
          js_import route from #{script};
          js_set $target route.target;
          preread_timeout 120s;
          proxy_timeout 300s;
          server {
        #{server(setting).map { |line| "    #{line}" }.join("\n")}
          }
        }
      TEXT
    end
  end

  Peer.register("nginx", Nginx.new)
end
