# frozen_string_literal: true

require "openssl"

# An authority that issues certificates for specs. Its own certificate is self-signed, or issued by another authority.
class CertificateAuthority
  # A certificate with its key and those above it.
  Issued = Struct.new(:certificate, :key, :above) do
    # Returns the chain, leaf first, without the authority that clients trust.
    def chain_pem = [certificate, *above].map(&:to_pem).join

    def key_pem = key.private_to_pem

    def pem = chain_pem + key_pem

    # Writes chain and key into one file, and returns its path.
    def write(path) = path.tap { File.write(path, pem) }

    # Writes the chain, and the key into a file of its own. Returns the path of the chain.
    def write_apart(path, key_path)
      File.write(key_path, key_pem)
      path.tap { File.write(path, chain_pem) }
    end
  end

  DAY = 86_400
  KEYS = { ecdsa: -> { OpenSSL::PKey::EC.generate("prime256v1") }, rsa: -> { OpenSSL::PKey::RSA.new(2048) },
           ed25519: -> { OpenSSL::PKey.generate_key("ED25519") } }.freeze

  class << self
    # One authority for all specs of a process.
    def shared = @shared ||= new("Spec Authority")

    # A key of a kind. RSA keys take long to make, so that certificates of a process share them.
    def key(kind) = (@keys ||= {})[kind] ||= KEYS.fetch(kind).call

    def next_serial = @serial = (@serial || rand(1 << 60)) + 1
  end

  attr_reader :certificate

  # @param above [CertificateAuthority, nil] issues the certificate of this authority
  def initialize(name, above: nil)
    @key = KEYS.fetch(:ecdsa).call
    @above = above
    @certificate = build([["CN", name]], @key, -DAY..(3650 * DAY), above)
    extensions(@certificate, above, "basicConstraints" => "critical,CA:TRUE",
                                    "keyUsage" => "critical,keyCertSign,cRLSign", "subjectKeyIdentifier" => "hash")
    sign(@certificate, above)
  end

  # Issues a certificate for DNS names or IP addresses, the first of which is the common name, too.
  # @param valid [Range] seconds from now
  # @param usage [String] of the key: serverAuth or clientAuth
  # @param subject [Array<Array(String, String)>] the fields of the subject
  def issue(*names, key: :ecdsa, valid: -DAY..(90 * DAY), usage: "serverAuth,clientAuth",
            subject: [["CN", names.first]])
    key = CertificateAuthority.key(key) if key.is_a?(Symbol)
    certificate = build(subject, key, valid, self)
    alternatives = names.map { |name| "#{name.match?(/\A[\d.]+\z|:/) ? "IP" : "DNS"}:#{name}" }.join(",")
    extensions(certificate, self, "subjectAltName" => alternatives, "extendedKeyUsage" => usage,
                                  "basicConstraints" => "critical,CA:FALSE", "keyUsage" => "critical,digitalSignature")
    sign(certificate, self)
    Issued.new(certificate, key, @above ? [@certificate] : [])
  end

  def pem = @certificate.to_pem

  # Writes the certificate, and returns its path.
  def write(path) = path.tap { File.write(path, pem) }

  # Returns a revocation list in PEM.
  # @param next_update [Integer] seconds from now
  def revocation_list(*revoked, next_update: 30 * DAY)
    list = OpenSSL::X509::CRL.new
    list.version = 1
    list.issuer = @certificate.subject
    list.last_update = Time.now - (60 * DAY)
    list.next_update = Time.now + next_update
    revoked.each { |issued| list.add_revoked(revocation(issued.certificate.serial)) }
    factory = OpenSSL::X509::ExtensionFactory.new(@certificate, nil, nil, list)
    list.add_extension(OpenSSL::X509::Extension.new("crlNumber", OpenSSL::ASN1::Integer(1)))
    list.add_extension(factory.create_extension("authorityKeyIdentifier", "keyid:always"))
    list.sign(@key, "SHA256").to_pem
  end

  protected

  attr_reader :key

  private

  def build(subject, key, valid, above)
    certificate = OpenSSL::X509::Certificate.new
    certificate.version = 2
    certificate.serial = CertificateAuthority.next_serial
    certificate.subject = OpenSSL::X509::Name.new(subject)
    certificate.issuer = above ? above.certificate.subject : certificate.subject
    certificate.public_key = key
    certificate.not_before = Time.now + valid.begin
    certificate.not_after = Time.now + valid.end
    certificate
  end

  def extensions(certificate, above, extensions)
    factory = OpenSSL::X509::ExtensionFactory.new(above&.certificate || certificate, certificate)
    extensions.each do |name, value|
      critical = value.delete_prefix("critical,")
      certificate.add_extension(factory.create_extension(name, critical, critical != value))
    end
  end

  def sign(certificate, above)
    certificate.sign(above ? above.key : @key, "SHA256")
  end

  def revocation(serial)
    OpenSSL::X509::Revoked.new.tap do |revoked|
      revoked.serial = serial
      revoked.time = Time.now - DAY
    end
  end
end
