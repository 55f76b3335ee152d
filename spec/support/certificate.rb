# frozen_string_literal: true

require "open3"

# A self-signed certificate.
module Certificate
  OPTIONS = %w[-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2].freeze

  module_function

  # Creates a certificate for the name in the directory. Returns the files of the key and of the certificate.
  def create(name, dir)
    key, certificate = %w[key certificate].map { |kind| File.join(dir, "#{name}.#{kind}.pem") }
    subject = ["-subj", "/CN=#{name}", "-addext", "subjectAltName=DNS:#{name}"]
    output, status = Open3.capture2e("openssl", "req", *OPTIONS, *subject, "-keyout", key, "-out", certificate)
    raise "no certificate: #{output}" unless status.success?

    [key, certificate]
  end
end
