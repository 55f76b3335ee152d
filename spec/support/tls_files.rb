# frozen_string_literal: true

# Certificates of CertificateAuthority.shared as files, in one directory for all specs of a process.
module TlsFiles
  module_function

  # Returns the file with the chain and key of a new certificate for the names.
  def pem(*names, **options)
    issued = CertificateAuthority.shared.issue(*names, **options)
    issued.write(File.join(dir, "#{names.first.tr("*", "_")}-#{issued.certificate.serial}.pem"))
  end

  # Returns the file of the one certificate for these names.
  def shared(*names)
    (@shared ||= {})[names] ||= pem(*names)
  end

  # Returns the file with the authority's certificate.
  def authority
    @authority ||= CertificateAuthority.shared.write(File.join(dir, "authority.pem"))
  end

  def dir
    @dir ||= Dir.mktmpdir("proxymachine-tls").tap { |dir| at_exit { FileUtils.rm_rf(dir) } }
  end
end
