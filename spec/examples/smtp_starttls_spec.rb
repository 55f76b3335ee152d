# frozen_string_literal: true

RSpec.describe "examples/smtp_starttls.rb:" do
  running(:mail_server) { MailServer.new(TlsFiles.pem("127.0.0.1")) }
  running(:proxy) do
    ExampleConfig.start("smtp_starttls", "TLS_CERTIFICATES" => TlsFiles.pem("mx.blue.test"),
                                         "TLS_AUTHORITIES" => TlsFiles.authority,
                                         "SMTP_ROUTES" => "mx.blue.test=#{mail_server.address}")
  end

  def session(input, name: "mx.blue.test")
    Open3.capture2e("openssl", "s_client", "-starttls", "smtp", "-connect", "127.0.0.1:#{proxy.port}", "-servername",
                    name, "-CAfile", TlsFiles.authority, "-verify_return_error", "-quiet", stdin_data: input).first
  end

  it "serves openssl s_client -starttls smtp, and reaches the server by STARTTLS, too" do
    expect(session("EHLO me\r\nMAIL FROM:<a@b>\r\nQUIT\r\n")).to include "250 EHLO me", "250 MAIL FROM:<a@b>", "221 bye"
    expect(mail_server.clear).to eq ["HELO proxy.test", "STARTTLS"]
    expect(mail_server.encrypted).to eq ["EHLO me", "MAIL FROM:<a@b>", "QUIT"]
  end

  it "answers in clear only what comes before STARTTLS" do
    client = connect
    replies = { "" => "220 proxy.test ESMTP", "NOOP\r\n" => "250 OK", "QUIT\r\n" => "221 Bye",
                "MAIL FROM:<a@b>\r\n" => "530 Must issue a STARTTLS command first" }
    ["", "NOOP\r\n", "MAIL FROM:<a@b>\r\n", "QUIT\r\n"].each do |command|
      reply = "#{replies.fetch(command)}\r\n"
      expect(client.write(command).read(reply.bytesize)).to eq reply
    end
    expect(client.read_all).to eq ""
  end

  it "tells a client without a route, inside TLS" do
    expect(session("EHLO me\r\n", name: "mx.red.test")).to include "550 No such mail server here"
  end

  it "does not begin TLS when a command in clear follows STARTTLS" do
    client = connect
    greeting = "220 proxy.test ESMTP\r\n"
    expect(client.read(greeting.bytesize)).to eq greeting
    refusal = "530 Must issue a STARTTLS command first\r\n"
    expect(client.write("STARTTLS\r\nMAIL FROM:<evil@b>\r\n").read(refusal.bytesize)).to eq refusal
  end
end
