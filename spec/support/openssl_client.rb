# frozen_string_literal: true

require "open3"

# The real `openssl s_client`, and what it says.
class OpensslClient
  # @return [String] its output
  attr_reader :output

  # Connects, sends a line, and reads until the server ends its side.
  # @param name [String, nil] the name to ask for (SNI)
  def initialize(port, *options, name: nil, input: "hello\n")
    server_name = name ? ["-servername", name] : ["-noservername"]
    command = ["openssl", "s_client", "-connect", "127.0.0.1:#{port}", "-ign_eof", *server_name, *options]
    @output = Timeout.timeout(Eventually::DEADLINE) { Open3.capture2e(*command, stdin_data: input).first.b }
  end

  # The common name of the certificate that the server shows.
  def subject = output[/^subject=.*CN\s*=\s*(\S+)/, 1]

  # The number of the alert with which the server refuses.
  def alert = output[/SSL alert number (\d+)/, 1]&.to_i

  def resumed? = output.include?("Reused, TLSv1")

  # The last text that a block sent with {:close => "said: ..."}.
  def said = output[/said: ([^\n]*)/, 1]
end
