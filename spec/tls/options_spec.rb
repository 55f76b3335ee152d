# frozen_string_literal: true

require "json"

# The verbs `certificates` and `authorities`: what each option takes, and what the messages about mistakes say.
RSpec.describe "TLS options:" do
  before(:context) do
    @dir = Dir.mktmpdir("proxymachine-tls")
    authority = CertificateAuthority.shared
    issued = authority.issue("a.example", "www.a.example")
    issued.write(file("a.pem"))
    issued.write_apart(file("apart.crt"), file("apart.key"))
    File.write(file("bare.pem"), issued.chain_pem)
    File.write(file("other.pem"), issued.chain_pem + authority.issue("b", key: :rsa).key_pem)
    authority.write(file("ca.pem"))
    File.write(file("list.pem"), authority.revocation_list)
    encrypted = issued.key.private_to_pem(OpenSSL::Cipher.new("aes-256-cbc"), "secret")
    File.write(file("encrypted.pem"), issued.chain_pem + encrypted)
    File.binwrite(file("der.pem"), issued.certificate.to_der)
    File.write(file("v1.pem"), of_version_one + issued.key_pem)
    FileUtils.mkdir(file("empty"))
  end

  after(:context) { FileUtils.rm_rf(@dir) }

  def file(name) = File.join(@dir, name)

  # What `openssl x509 -req` issues without -extfile.
  def of_version_one
    key = CertificateAuthority.key(:ecdsa)
    certificate = OpenSSL::X509::Certificate.new
    certificate.subject = certificate.issuer = OpenSSL::X509::Name.new([%w[CN old]])
    certificate.not_before = Time.now
    certificate.not_after = Time.now + 86_400
    certificate.public_key = key
    certificate.sign(key, "SHA256").to_pem
  end

  # Evaluates expressions in one Ruby with the gem. Returns the result of each: what `inspect` says, or the error.
  def results(*expressions)
    output = RubyScript.output(<<~RUBY)
      require "json"
      require "pathname"
      require "proxymachine"
      Dir.chdir(#{@dir.inspect})
      results = #{expressions.inspect}.map do |expression|
        eval(expression).inspect
      rescue ProxyMachine::ConfigError => e
        e.message
      end
      puts JSON.generate(results)
    RUBY
    JSON.parse(output).map { |result| result.gsub("#{@dir}/", "") }
  end

  def expect_results(table)
    expect(table.keys.zip(results(*table.keys)).to_h).to match(table)
  end

  it "valid ones give immutable objects, of which inspect tells names and days, but no key" do
    one = /\A#<ProxyMachine::Certificates a\.example \((?:89|90) days left\)>\z/
    expect_results(
      'certificates "a.pem"' => one,
      'certificates Pathname("a.pem")' => one,
      'certificates "apart.crt", :alpn => ["h2", "http/1.1"], :min_version => "1.3", :strict => true' => one,
      'certificates :pem => File.read("a.pem")' => one,
      'certificates "a.pem", :client => authorities("ca.pem"), :client_optional => true' => one,
      'certificates "a.pem", :client => nil, :alpn => nil' => one,
      'certificates "a*.{pem,crt,key}", "a.pem"' =>
        /\A#<ProxyMachine::Certificates(?: a\.example \(\d+ days left\),?){3}>\z/,
      'certificates(*["a.pem"] * 7)' =>
        /\A#<ProxyMachine::Certificates(?: a\.example \(\d+ days left\),?){5} and 2 more>\z/,
      'certificates("a.pem").frozen? && authorities("ca.pem").frozen?' => "true",
      'authorities "ca.pem"' => /\A#<ProxyMachine::Authorities Spec Authority \(\d+ days left\)>\z/,
      'authorities("ca.pem").for("db.internal")' => /\A#<ProxyMachine::Authorities Spec Auth.*, for db\.internal>\z/,
      'authorities("ca.pem").for("10.0.0.1").name' => '"10.0.0.1"',
      'authorities("ca.pem").name' => "nil",
      'authorities "ca.pem", :certificate => "a.pem", :crl => "list.pem", :starttls => :postgres, :alpn => ["x"]' =>
        /\A#<ProxyMachine::Authorities Spec Authority /,
      'authorities "ca.pem", :starttls => [[nil, "220 "], ["STARTTLS\r\n", "220 "]], :min_version => "1.3"' =>
        /\A#<ProxyMachine::Authorities Spec Authority /,
      "authorities :verify => false" => "#<ProxyMachine::Authorities 0 of the system, without verification>"
    )
  end

  it "the system's authorities are those of SSL_CERT_FILE and SSL_CERT_DIR, if these are set" do
    expect_results(
      'ENV.delete("SSL_CERT_DIR"); ENV["SSL_CERT_FILE"] = "ca.pem"; authorities' =>
        "#<ProxyMachine::Authorities 1 of the system>",
      'ENV["SSL_CERT_FILE"] = "none.pem"; authorities' =>
        /\Aauthorities: this system has no trusted certificates \(.*\): install ca-certificates, set SSL_CERT_FILE or/,
      'ENV.delete("SSL_CERT_FILE"); ENV["SSL_CERT_DIR"] = "empty"; authorities' =>
        /\Aauthorities: this system has no trusted certificates: install ca-certificates, set SSL_CERT_FILE or/
    )
  end

  it "of a wrong name or type are named, with what is right" do
    options = ":pem, :alpn, :min_version, :client, :client_optional, :strict"
    protocols = 'certificates: :alpn takes protocols such as ["h2", "http/1.1"], not '
    starttls = "authorities: :starttls takes :postgres, or what to send and what must come, such as " \
               '[[nil, "220 "], ["STARTTLS\r\n", "220 "]], not '
    expect_results(
      'certificates "a.pem", :min_versoin => "1.3"' =>
        "certificates: no such option: :min_versoin; the options are #{options}",
      'certificates "a.pem", :min_version => 1.3' => 'certificates: :min_version takes "1.2" or "1.3", not 1.3',
      'certificates "a.pem", :min_version => "1.1"' => 'certificates: :min_version takes "1.2" or "1.3", not "1.1"',
      'certificates "a.pem", :alpn => "h2"' => "#{protocols}\"h2\"",
      'certificates "a.pem", :alpn => []' => "#{protocols}[]",
      'certificates "a.pem", :alpn => [""]' => "#{protocols}[\"\"]",
      'certificates "a.pem", :strict => "yes"' => 'certificates: :strict takes true or false, not "yes"',
      'certificates "a.pem", :client => "ca.pem"' =>
        "certificates: :client takes authorities, such as authorities(\"/etc/proxymachine/clients.pem\"), " \
        "not \"ca.pem\"",
      'certificates "a.pem", :client_optional => true' =>
        "certificates: :client_optional needs :client => authorities(...)",
      'certificates "a.pem", :client => authorities(:verify => false)' =>
        "certificates: :client takes authorities that verify, not such with :verify => false",
      "authorities :foo => 1" =>
        "authorities: no such option: :foo; the options are :certificate, :alpn, :min_version, :crl, :starttls, " \
        ":verify",
      'authorities "ca.pem", :verify => nil' => "authorities: :verify takes true or false, not nil",
      'authorities "ca.pem", :starttls => :smtp' => "#{starttls}:smtp",
      'authorities "ca.pem", :starttls => [["EHLO"]]' => "#{starttls}[[\"EHLO\"]]",
      'authorities "ca.pem", :starttls => [["EHLO", ""]]' => "#{starttls}[[\"EHLO\", \"\"]]",
      'authorities("ca.pem").for("")' =>
        'authorities(...).for takes a host name such as "db.internal" or an IP address, not ""',
      'authorities("ca.pem").for(:db)' =>
        'authorities(...).for takes a host name such as "db.internal" or an IP address, not :db'
    )
  end

  it "paths and texts that are no such are named, with the cure" do
    path = "takes the path of a PEM file, in UTF-8, not "
    expect_results(
      "certificates" =>
        'certificates: takes the path of a PEM file, such as "/etc/proxymachine/tls/*.pem", or :pem',
      "certificates 1" => "certificates: #{path}1",
      'certificates ""' => "certificates: #{path}\"\"",
      'certificates "a\0b"' => /\Acertificates: .*not "a\\u0000b"|cannot find/,
      "certificates ['a.pem']" => "certificates: #{path}[\"a.pem\"]",
      'certificates "a.pem", :pem => ""' => "certificates: takes paths or :pem, not both",
      "certificates :pem => nil" => "certificates: :pem takes the text of a chain and its key, not NilClass",
      'certificates :pem => ""' => /\Acertificates: :pem has no certificate: it takes PEM, with a line/,
      "authorities 1" => "authorities: #{path}1",
      'authorities "ca.pem", :crl => 1' => "authorities: #{path}1",
      'authorities "ca.pem", :certificate => 1' => "authorities: #{path}1"
    )
  end

  it "files that cannot be used are named, with the cure" do
    expect_results(
      'certificates "none.pem"' =>
        "certificates: cannot read none.pem: No such file or directory: check the path, and that the file is there",
      'certificates "none*.pem"' => "certificates: no file matches none*.pem: name a file, or put one there",
      'certificates "empty"' => /\Acertificates: cannot read empty: is a directory: name its files, such as/,
      'certificates "apart.key"' => /\Acertificates: apart\.key has no certificate: it takes PEM, with a line/,
      'certificates "*.key"' =>
        "certificates: none of apart.key has a certificate with its key: name a file with a chain, leaf first",
      'certificates "der.pem"' => /\Acertificates: der\.pem has no certificate: .*openssl x509 -inform der.* converts/,
      'certificates "bare.pem"' =>
        "certificates: bare.pem has no private key: add the key to it, or put it beside as bare.key",
      'certificates "other.pem"' =>
        /\Acertificates: the private key in other\.pem is not the key of the first certificate in other\.pem: /,
      'certificates "encrypted.pem"' =>
        /\Acertificates: the private key in encrypted\.pem is encrypted: .*openssl pkey -in ENCRYPTED -out PLAIN/,
      'certificates "v1.pem"' =>
        /\Acertificates: certificate 1 in v1\.pem cannot be used \(it is of X\.509 version 1, .* without -extfile\): /,
      'authorities "list.pem"' => /\Aauthorities: list\.pem has no certificate: it takes PEM, with a line/,
      'authorities "ca.pem", :crl => "ca.pem"' => /\Aauthorities: ca\.pem has no revocation list: it takes PEM/,
      'authorities "ca.pem", :certificate => "bare.pem"' =>
        "authorities: bare.pem has no private key: add the key to it, or put it beside as bare.key"
    )
  end

  it "keys may be PKCS#8, PKCS#1 or SEC1, of RSA, ECDSA or Ed25519" do
    forms = { "pkcs1" => %i[rsa to_pem], "pkcs8" => %i[rsa private_to_pem], "sec1" => %i[ecdsa to_pem],
              "ed25519" => %i[ed25519 private_to_pem] }
    forms.each do |name, (kind, form)|
      issued = CertificateAuthority.shared.issue("#{name}.example", key: kind)
      File.write(file("#{name}.form"), issued.key.public_send(form) + issued.chain_pem)
    end
    markers = forms.keys.map { |name| File.read(file("#{name}.form"))[/BEGIN (.*)-----/, 1] }
    expect(markers).to eq ["RSA PRIVATE KEY", "PRIVATE KEY", "EC PRIVATE KEY", "PRIVATE KEY"]
    names = forms.keys.sort.map { |name| Regexp.escape("#{name}.example (") }
    expect(results('certificates "*.form"')).to match [Regexp.new(names.join(".*"))]
  end
end
