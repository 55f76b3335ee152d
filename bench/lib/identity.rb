# frozen_string_literal: true

require "openssl"
require "tmpdir"

module Bench
  # Self-signed certificates for the TLS benchmarks: files with the certificate and its key.
  module Identity
    KEYS = { ecdsa: -> { OpenSSL::PKey::EC.generate("prime256v1") }, rsa: -> { OpenSSL::PKey::RSA.new(2048) } }.freeze
    NAME = "bench.test"

    module_function

    # Returns the file for a kind of key, created once.
    def file(kind)
      (@files ||= {})[kind] ||= create(kind)
    end

    def create(kind)
      @directory ||= Dir.mktmpdir("bench").tap { |directory| at_exit { FileUtils.rm_rf(directory) } }
      key = KEYS.fetch(kind).call
      File.join(@directory, "#{kind}.pem").tap do |path|
        File.write(path, certificate(key).to_pem + key.private_to_pem, perm: 0o600)
      end
    end

    def certificate(key)
      certificate = OpenSSL::X509::Certificate.new
      certificate.version = 2
      certificate.serial = 1
      certificate.subject = certificate.issuer = OpenSSL::X509::Name.new([["CN", NAME]])
      certificate.public_key = key
      certificate.not_before = Time.now - 86_400
      certificate.not_after = Time.now + (30 * 86_400)
      factory = OpenSSL::X509::ExtensionFactory.new(certificate, certificate)
      certificate.add_extension(factory.create_extension("subjectAltName", "DNS:#{NAME}"))
      certificate.sign(key, "SHA256")
    end
  end
end
