# frozen_string_literal: true

require "openssl"

# A mail server that requires STARTTLS (RFC 3207) and answers each command with its name. It notes the commands that
# came in clear and those that came encrypted.
class MailServer
  attr_reader :clear, :encrypted

  def initialize(pem)
    @clear = []
    @encrypted = []
    @context = OpenSSL::SSL::SSLContext.new
    @context.add_certificate(*certificate(pem))
    @server = TCPServer.new("127.0.0.1", 0)
    @thread = Thread.new { loop { Thread.new(@server.accept) { |socket| serve(socket) } } }
  end

  def address
    "127.0.0.1:#{@server.local_address.ip_port}"
  end

  def stop
    @thread.kill
    @server.close
  end

  private

  def certificate(pem)
    text = File.read(pem)
    leaf, *chain = OpenSSL::X509::Certificate.load(text)
    [leaf, OpenSSL::PKey.read(text), chain]
  end

  def serve(socket)
    socket.write("220 inside.test ESMTP\r\n")
    answer(socket, @clear)
    encrypted = OpenSSL::SSL::SSLSocket.new(socket, @context).tap(&:accept)
    answer(encrypted, @encrypted)
  rescue OpenSSL::SSL::SSLError, SystemCallError
    nil
  ensure
    encrypted ? encrypted.close : socket.close
  end

  # Answers until STARTTLS or the end.
  def answer(socket, commands)
    while (line = socket.gets("\r\n")&.chomp)
      commands << line
      case line
      when "STARTTLS" then return socket.write("220 go ahead\r\n")
      when "QUIT"     then return socket.write("221 bye\r\n")
      else socket.write("250 #{line}\r\n")
      end
    end
  end
end
