# frozen_string_literal: true

require "open3"

# A real `openssl s_server` with a certificate for `name`.
class TlsServer < Child
  # Returns the name in the certificate that a real `openssl s_client` receives, or nil.
  def self.name_shown_to_client(port, *options)
    output, = Open3.capture2e("openssl", "s_client", "-connect", "127.0.0.1:#{port}", *options, stdin_data: "")
    output.b[/^subject=.*CN\s*=\s*(\S+)/, 1]
  end

  # The file of the certificate.
  attr_reader :certificate

  # options:: more of s_server's
  def initialize(name, *options)
    dir = Dir.mktmpdir("proxymachine-tls")
    key, @certificate = Certificate.create(name, dir)
    options += ["-cert", @certificate, "-key", key, "-rev"]
    super("openssl", "s_server", "-accept", "127.0.0.1:0", *options, dir: dir)
  end

  def address
    "127.0.0.1:#{Eventually.eventually { stdout[/^ACCEPT \S*:(\d+)$/, 1] }}"
  end
end
