# frozen_string_literal: true

require "etc"
require "open3"
require_relative "daemon"

# A real sshd with its own host key. It accepts the user of the specs by a second key, and prints the words for every
# command.
class SshServer < Daemon
  def initialize(port, words)
    dir = Dir.mktmpdir("proxymachine-ssh")
    %w[host user].each { |name| create_key(File.join(dir, name)) }
    FileUtils.mkdir_p("/run/sshd", mode: 0o755) if Process.uid.zero? # sshd requires the directory
    File.write(File.join(dir, "sshd_config"), <<~CONF)
      ListenAddress 127.0.0.1:#{port}
      HostKey #{dir}/host
      AuthorizedKeysFile #{dir}/user.pub
      PidFile none
      StrictModes no
      PermitRootLogin yes
      ForceCommand echo #{words}
    CONF
    super([port], "/usr/sbin/sshd", "-D", "-e", "-f", File.join(dir, "sshd_config"), dir: dir)
  end

  # Runs a real ssh through this port, with this server's host key as the only known one. Returns its output.
  def output_through(port)
    File.write(File.join(dir, "known"), "it #{host_key}\n")
    options = %W[HostKeyAlias=it UserKnownHostsFile=#{dir}/known StrictHostKeyChecking=yes BatchMode=yes]
              .flat_map { |option| ["-o", option] }
    Open3.capture2e("ssh", "-F", "none", *options, "-i", File.join(dir, "user"), "-p", port.to_s,
                    "#{Etc.getpwuid.name}@127.0.0.1", "true").first
  end

  # The key's type and the key, as ssh-keyscan prints them.
  def host_key
    File.read(File.join(dir, "host.pub")).split.first(2).join(" ")
  end

  private

  def create_key(path)
    output, status = Open3.capture2e("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)
    raise "no key: #{output}" unless status.success?
  end
end
