# frozen_string_literal: true

module Bench
  # nginx's stream proxy with njs looking at what the client sent.
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
      return "no nginx on the PATH (Debian: nginx libnginx-mod-stream libnginx-mod-stream-js)" unless path

      "no stream and njs modules (Debian: libnginx-mod-stream libnginx-mod-stream-js)" unless modules
    end

    def version
      Peer.version(path, "-v", %r{nginx/(\S+)})
    end

    def plays?(config)
      config == "route"
    end

    def command(setting)
      script = setting.file("route.js", SCRIPT.sub("PORT", setting.backend.to_s))
      file = setting.file("nginx.conf", text(setting, script))
      [[path, "-p", setting.directory, "-e", File.join(setting.directory, "nginx-error.log"), "-c", file], {}]
    end

    private

    def path
      Peer.executable("nginx")
    end

    def modules
      FOLDERS.find { |folder| MODULES.all? { |name| File.exist?(File.join(folder, name)) } }
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
            listen 127.0.0.1:#{setting.port} backlog=4096;
            js_preread route.preread;
            proxy_pass $target;
          }
        }
      TEXT
    end
  end

  Peer.register("nginx", Nginx.new)
end
