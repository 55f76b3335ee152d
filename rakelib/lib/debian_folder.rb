# frozen_string_literal: true

require "fileutils"
require "open3"

# Another release of Debian in a folder, from where this machine gets its packages. Each command in it runs in mount and
# process namespaces of its own, so that no mount and no process outlives it. The network is the machine's.
class DebianFolder
  ROOT = File.expand_path("../..", __dir__)
  SOURCES = "/proxymachine"
  # The shell stays: whom its parents have left is the first process's child, and has to be waited for.
  ENTER = <<~'SH'
    mount --bind "$0" "$0" && mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" &&
      mount --rbind /sys "$0/sys" || exit
    chroot "$0" "$@"
    exit $?
  SH
  ENVIRONMENT = { "PATH" => "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME" => "/root",
                  "LANG" => "C.UTF-8", "DEBIAN_FRONTEND" => "noninteractive" }.freeze

  attr_reader :suite, :dir

  # Those that are there.
  def self.made
    Dir[File.join(ROOT, "tmp/matrix/*/.made")].sort.map { |mark| new(File.basename(File.dirname(mark))) }
  end

  # Why there can be none, or nil.
  def self.missing
    return "only root can make one" unless Process.uid.zero?

    absent = %w[debootstrap unshare chroot apt-get].reject { |name| system("which", name, out: File::NULL) }
    return "#{absent.join(", ")} missing: apt-get install debootstrap" if absent.any?

    "this machine gets no packages from Debian" unless mirror
  end

  # Where this machine gets its release of Debian from.
  def self.mirror
    release = File.read("/etc/os-release")
    return unless release[/^ID=(.*)/, 1] == "debian"

    codename = release[/^VERSION_CODENAME=(.*)/, 1] || "sid"
    targets, = Open3.capture2("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(CREATED_BY)")
    targets[/^(\S+) #{codename} Packages$/, 1]
  end

  def initialize(suite)
    @suite = suite
    @dir = File.join(ROOT, "tmp/matrix", suite)
  end

  # Makes it, or brings it up to date: sid is another one each day. Returns whether that went well.
  def make
    return renew if File.exist?("#{dir}/.made")

    FileUtils.rm_rf(dir)
    FileUtils.mkdir_p(dir)
    quietly("debootstrap", "--variant=minbase", "--include=ca-certificates", suite, dir, self.class.mirror) &&
      settle && FileUtils.touch("#{dir}/.made")
  end

  # Puts the files there that git knows, or would know. What was built there before stays.
  def bring_sources
    files, = Open3.capture2("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", chdir: ROOT)
    target = "#{dir}#{SOURCES}"
    known = files.split("\0").select { |file| File.file?("#{ROOT}/#{file}") }
    stale = File.exist?("#{target}/.files") ? File.read("#{target}/.files").split("\0") - known : []
    FileUtils.rm_f(stale.map { |file| "#{target}/#{file}" })
    known.each do |file|
      next if same?("#{ROOT}/#{file}", "#{target}/#{file}")

      FileUtils.mkdir_p(File.dirname("#{target}/#{file}"))
      FileUtils.cp("#{ROOT}/#{file}", "#{target}/#{file}", preserve: true)
    end
    File.write("#{target}/.files", known.join("\0"))
  end

  # Runs a command where the sources are. Returns whether it ended well; options are those of Process.spawn.
  def run(*command, **options)
    system(ENVIRONMENT, *enter("env", "-C", SOURCES, *command), unsetenv_others: true, in: File::NULL, **options)
  end

  # What a command in there prints.
  def output(*command)
    Open3.capture2e(ENVIRONMENT, *enter(*command), unsetenv_others: true).first
  end

  def glob(pattern)
    Dir["#{dir}#{SOURCES}/#{pattern}"]
  end

  private

  def enter(*command)
    %w[unshare --mount --propagation private --pid --fork --kill-child sh -c] + [ENTER, dir, *command]
  end

  # Names, root certificates and ways to the packages are the machine's own. No package starts its service.
  def settle
    FileUtils.mkdir_p(["#{dir}#{SOURCES}", "#{dir}/usr/local/share/ca-certificates"])
    FileUtils.cp("/etc/resolv.conf", "#{dir}/etc/resolv.conf")
    FileUtils.cp(Dir["/usr/local/share/ca-certificates/*.crt"], "#{dir}/usr/local/share/ca-certificates")
    acquire = Open3.capture2("apt-config", "dump").first.lines.grep(/^Acquire::(?!IndexTargets|Changelogs).*"[^"]+";$/)
    File.write("#{dir}/etc/apt/apt.conf.d/90machine", acquire.join)
    File.write("#{dir}/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", perm: 0o755)
    inside("update-ca-certificates") && inside("apt-get", "-qq", "update")
  end

  def renew
    inside("apt-get", "-qq", "update") && inside("apt-get", "-qq", "-y", "dist-upgrade")
  end

  def inside(*command)
    quietly(ENVIRONMENT, *enter(*command), unsetenv_others: true)
  end

  # Of what such a command tells, only what it says last, if it fails. Returns whether it ended well.
  def quietly(...)
    output, status = Open3.capture2e(...)
    warn(output.lines.last(5)) unless status.success?
    status.success?
  end

  def same?(one, other)
    File.exist?(other) && FileUtils.identical?(one, other)
  end
end
