# frozen_string_literal: true

require "open3"

# A real `openssl s_server` with a certificate of its own for `name`.
class TlsServer < Child
  # The name in the certificate that a real `openssl s_client` is shown, or nil.
  def self.name_shown_to_client(port, *options)
    output, = Open3.capture2e("openssl", "s_client", "-connect", "127.0.0.1:#{port}", *options, stdin_data: "")
    output.b[/^subject=.*CN\s*=\s*(\S+)/, 1]
  end

  def initialize(name)
    dir = Dir.mktmpdir("proxymachine-tls")
    key, certificate = Certificate.create(name, dir)
    super("openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", certificate, "-key", key, "-rev", dir: dir)
  end

  def address
    "127.0.0.1:#{Eventually.eventually { stdout[/^ACCEPT \S*:(\d+)$/, 1] }}"
  end
end
