# frozen_string_literal: true

require "json"

# A real systemd, as the manager of a user's services, in namespaces of its own: it sees no process and no network but
# its own. A Ruby program beside it tells it what to do, and prints what it saw as JSON.
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

  # Why there can be none, or nil.
  def self.missing
    return "namespaces take root" unless Process.uid.zero?

    lacking = %w[systemd systemctl unshare].reject { |name| system("command -v #{name} >/dev/null") }
    "there is no #{lacking.join(" and no ")}" if lacking.any?
  end

  # `units`: the text of each file in the folder of units, by name.
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
    raise report + text_of(File.join(dir, "manager")) unless wait(within: 80).success?

    JSON.parse(stdout, symbolize_names: true)
  end
end
