# frozen_string_literal: true

require "json"

# A real systemd, run as a user's service manager in its own mount, process and network namespaces. A Ruby program
# beside it drives it and prints the facts that it saw as JSON.
class ServiceManager < Child
  BOOT = <<~'SHELL'
    mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system /run/user && ip link set lo up || exit
    export HOME=$PWD XDG_RUNTIME_DIR=/run/user
    systemd --user > manager 2>&1 &
    until [ -S $XDG_RUNTIME_DIR/systemd/private ]; do sleep 0.02; done
    exec "$@"
  SHELL

  HELPERS = <<~'RUBY'
    require "json"
    require "socket"

    def systemctl(*words)
      IO.popen(["systemctl", "--user", *words, { err: %i[child out] }], &:read)
    end

    def property(name)
      systemctl("show", "--value", "--property", name, "proxymachine.service").chomp
    end

    def wait_until
      sleep 0.02 until yield
    end
  RUBY

  # Returns the reason why systemd cannot be started, or nil.
  def self.missing
    return "namespaces need root" unless Process.uid.zero?

    lacking = %w[systemd systemctl unshare].reject { |name| system("command -v #{name} >/dev/null") }
    "there is no #{lacking.join(" and no ")}" if lacking.any?
  end

  # units:: the text of each unit file, by its name
  def initialize(units, program)
    dir = Dir.mktmpdir("proxymachine-spec")
    units.each do |name, text|
      path = File.join(dir, ".config/systemd/user", name)
      FileUtils.mkdir_p(File.dirname(path))
      File.write(path, text)
    end
    File.write(File.join(dir, "program.rb"), HELPERS + program)
    super("unshare", "--mount", "--pid", "--fork", "--kill-child", "--net", "--mount-proc", "bash", "-c", BOOT, "-",
          RbConfig.ruby, "program.rb", dir: dir, chdir: dir)
  end

  def facts
    raise report + text_of(File.join(dir, "manager")) unless wait(within: 160).success?

    JSON.parse(stdout, symbolize_names: true)
  end
end
