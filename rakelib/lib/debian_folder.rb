# frozen_string_literal: true

require "fileutils"
require "open3"
require_relative "namespaces"

# Another release of Debian in a folder, from this machine's package mirror. Each command in it runs in its own mount
# and process namespaces, so that no mount and no process outlives it. The network is the machine's.
class DebianFolder
  ROOT = File.expand_path("../..", __dir__)
  SOURCES = "/proxymachine"
  ENVIRONMENT = { "PATH" => "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME" => "/root",
                  "LANG" => "C.UTF-8", "DEBIAN_FRONTEND" => "noninteractive",
                  **ENV.slice("RUBY_YJIT_ENABLE") }.freeze

  attr_reader :suite, :dir

  # Returns the existing folders.
  def self.made
    Dir[File.join(ROOT, "tmp/matrix/*/.made")].sort.map { |mark| new(File.basename(File.dirname(mark))) }
  end

  # Returns the reason why a folder cannot be created, or nil.
  def self.missing
    return "only root can create one" unless Process.uid.zero?

    absent = %w[debootstrap unshare chroot apt-get].reject { |name| system("which", name, out: File::NULL) }
    return "#{absent.join(", ")} missing: apt-get install debootstrap" if absent.any?

    "this machine gets no packages from Debian" unless mirror
  end

  # Returns the mirror of this machine's Debian release.
  def self.mirror
    release = File.read("/etc/os-release")
    return unless release[/^ID=(.*)/, 1] == "debian"

    codename = release[/^VERSION_CODENAME=(.*)/, 1] || "sid"
    targets, = Open3.capture2("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(CREATED_BY)")
    targets[/^(\S+) #{codename} Packages$/, 1]
  end

  # parent:: the folder that holds it
  def initialize(suite, parent: "tmp/matrix")
    @suite = suite
    @dir = File.join(ROOT, parent, suite)
  end

  # Makes a copy of another folder, in place of an earlier one. What is mounted in it is not copied: /proc has files
  # of hundreds of gigabytes. Raises if that fails.
  def copy(folder)
    FileUtils.rm_rf(dir)
    FileUtils.mkdir_p(File.dirname(dir))
    system("cp", "--archive", "--one-file-system", "--reflink=auto", folder.dir, dir) or
      raise "cannot copy #{folder.dir} to #{dir}"
  end

  # Creates the folder, or updates its packages, because sid changes daily. Returns whether it succeeded.
  def make
    return renew if File.exist?("#{dir}/.made")

    FileUtils.rm_rf(dir)
    FileUtils.mkdir_p(dir)
    bootstrap && settle && FileUtils.touch("#{dir}/.made")
  end

  # Installs packages, if need be of another release. Returns whether it succeeded.
  def install(*packages, from: suite)
    unless from == suite
      File.write("#{dir}/etc/apt/sources.list.d/#{from}.list", "deb #{self.class.mirror} #{from} main\n")
      inside("apt-get", "-qq", "update") || (return false)
    end
    inside("apt-get", "-qq", "-y", "--no-install-recommends", "--target-release", from, "install", *packages)
  end

  # Copies the files that git tracks or would add. Earlier build products stay.
  def bring_sources
    files, = Open3.capture2("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", chdir: ROOT)
    target = "#{dir}#{SOURCES}"
    known = files.split("\0").select { |file| File.file?("#{ROOT}/#{file}") }
    stale = File.exist?("#{target}/.files") ? File.read("#{target}/.files").split("\0") - known : []
    FileUtils.rm_f(stale.map { |file| "#{target}/#{file}" })
    known.each do |file|
      next if File.exist?("#{target}/#{file}") && FileUtils.identical?("#{ROOT}/#{file}", "#{target}/#{file}")

      FileUtils.mkdir_p(File.dirname("#{target}/#{file}"))
      FileUtils.cp("#{ROOT}/#{file}", "#{target}/#{file}", preserve: true)
    end
    File.write("#{target}/.files", known.join("\0"))
  end

  # Runs a command in the sources. Returns whether it succeeded; options are those of Process.spawn.
  def run(*command, **options)
    system(ENVIRONMENT, *enter("env", "-C", SOURCES, *command), unsetenv_others: true, in: File::NULL, **options)
  end

  # Returns the output of a command in the folder.
  def output(*command)
    Open3.capture2e(ENVIRONMENT, *enter(*command), unsetenv_others: true).first
  end

  def glob(pattern)
    Dir["#{dir}#{SOURCES}/#{pattern}"]
  end

  private

  def bootstrap(release = suite, *options)
    options += %w[--variant=minbase --include=ca-certificates]
    debootstrap(*options, release, dir, DebianFolder.mirror)
  end

  # debootstrap mounts the folder's /proc, and leaves it mounted if a process uses it at the end, such as a search in
  # this tree.
  def debootstrap(*arguments)
    quietly(*Namespaces.mounts("debootstrap", *arguments))
  end

  def enter(*command)
    Namespaces.enter(dir, *command)
  end

  # Copies name resolution, root certificates and apt's settings from the machine. Packages must not start services.
  def settle
    FileUtils.mkdir_p(["#{dir}#{SOURCES}", "#{dir}/usr/local/share/ca-certificates"])
    FileUtils.cp(%w[/etc/resolv.conf /etc/hosts], "#{dir}/etc")
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

  # Prints the last lines of the output if the command fails. Returns whether it succeeded.
  def quietly(...)
    output, status = Open3.capture2e(...)
    warn(output.lines.last(5)) unless status.success?
    status.success?
  end
end
