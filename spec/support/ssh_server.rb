# frozen_string_literal: true

require "etc"
require "open3"
require_relative "daemon"

# A real sshd with keys of its own, which lets the user of the specs in by another key and says the words whatever it is
# told to run.
class SshServer < Daemon
  def initialize(port, words)
    dir = Dir.mktmpdir("proxymachine-ssh")
    %w[host user].each { |name| create_key(File.join(dir, name)) }
    FileUtils.mkdir_p("/run/sshd", mode: 0o755) if Process.uid.zero? # which sshd insists on
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

  # What a real ssh shows that goes to this port, if it finds this server there.
  def shown(port)
    File.write(File.join(dir, "known"), "it #{host_key}\n")
    options = %W[HostKeyAlias=it UserKnownHostsFile=#{dir}/known StrictHostKeyChecking=yes BatchMode=yes]
              .flat_map { |option| ["-o", option] }
    Open3.capture2e("ssh", "-F", "none", *options, "-i", File.join(dir, "user"), "-p", port.to_s,
                    "#{Etc.getpwuid.name}@127.0.0.1", "true").first
  end

  # Type and key, as ssh-keyscan shows them.
  def host_key
    File.read(File.join(dir, "host.pub")).split.first(2).join(" ")
  end

  private

  def create_key(path)
    output, status = Open3.capture2e("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)
    raise "no key: #{output}" unless status.success?
  end
end
