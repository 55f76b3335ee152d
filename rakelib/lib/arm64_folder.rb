# frozen_string_literal: true

require_relative "debian_folder"

# Debian 13 for arm64. Its programs run in QEMU, which the kernel starts for them (binfmt_misc).
class Arm64Folder < DebianFolder
  RELEASE = "trixie"
  BINFMT = "/proc/sys/fs/binfmt_misc"
  REGISTRATION = "/usr/lib/binfmt.d/qemu-aarch64.conf"
  # What runs the specs of the contract and the demo.
  PACKAGES = %w[ca-certificates curl git iproute2 libc6-dev openssl procps ruby ruby-dev ruby-rspec strace].freeze
  # Files that the packages' scripts create.
  ACCOUNTS = %w[passwd group].freeze

  # Returns the reason why the folder cannot be created, or nil.
  def self.missing
    return DebianFolder.missing if DebianFolder.missing
    return if File.exist?("#{BINFMT}/qemu-aarch64")
    return "QEMU is missing: apt-get install qemu-user-static" unless File.exist?(REGISTRATION)

    "the kernel does not know QEMU, which systemd would tell it: mount -t binfmt_misc none #{BINFMT}; " \
      "cat #{REGISTRATION} > #{BINFMT}/register"
  end

  # Not among the folders of `rake matrix`, in which `rake native` compiles.
  def initialize
    super("arm64", parent: "tmp")
  end

  # Returns the file with the configuration of the folder's Ruby, of version 3.3 say.
  def rbconfig
    Dir["#{dir}/usr/lib/aarch64-linux-gnu/ruby/*/rbconfig.rb"].first
  end

  private

  # Only unpacks the packages, with this machine's programs: their scripts take an hour in QEMU, and what they would
  # set up is not needed here, except for the accounts and the folder for executables.
  def bootstrap
    options = ["--foreign", "--arch=arm64", "--variant=minbase", "--include=#{PACKAGES.join(",")}"]
    debootstrap(*options, RELEASE, dir, DebianFolder.mirror) &&
      Dir["#{dir}/var/cache/apt/archives/*.deb"].all? { |package| quietly("dpkg-deb", "--extract", package, dir) }
  end

  def settle
    FileUtils.mkdir_p(["#{dir}#{SOURCES}", "#{dir}/usr/local/bin"])
    FileUtils.cp(%w[/etc/resolv.conf /etc/hosts], "#{dir}/etc")
    ACCOUNTS.each { |name| FileUtils.cp("#{dir}/usr/share/base-passwd/#{name}.master", "#{dir}/etc/#{name}") }
    inside("ruby", "--version")
  end

  # The packages have not been set up, so apt cannot update them.
  def renew
    true
  end
end
