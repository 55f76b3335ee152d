# frozen_string_literal: true

# The certificates that the documentation names: files below /etc/proxymachine and /etc/letsencrypt.
module ExampleIdentities
  DOCUMENTED = %r{/etc/(?:proxymachine|letsencrypt)/}

  module_function

  # Returns a config in which the documented files are files that exist.
  def existing(config)
    config.gsub(DOCUMENTED, "#{directory}/")
  end

  # Returns the directory in which they are, made once for all specs of a process.
  def directory
    @directory ||= Dir.mktmpdir("proxymachine-etc").tap do |dir|
      at_exit { FileUtils.rm_rf(dir) }
      authority = CertificateAuthority.shared
      FileUtils.mkdir(File.join(dir, "tls"))
      authority.issue("www.example.com", "*.example.com").write(File.join(dir, "tls/www.example.com.pem"))
      authority.issue("db.example").write(File.join(dir, "tls/db.pem"))
      FileUtils.mkdir_p(File.join(dir, "live/blue.test"))
      authority.issue("blue.test").write(File.join(dir, "live/blue.test/fullchain.pem"))
      %w[internal-ca.pem clients.pem clients-ca.pem].each { |file| authority.write(File.join(dir, file)) }
    end
  end
end
