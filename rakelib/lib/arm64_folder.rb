# frozen_string_literal: true

require_relative "debian_folder"

# Debian 13 for arm64. Its programs run in QEMU, which the kernel starts for them (binfmt_misc).
class Arm64Folder < DebianFolder
  RELEASE = "trixie"
  BINFMT = "/proc/sys/fs/binfmt_misc/qemu-aarch64"
  # What runs the specs of the contract and the demo.
  PACKAGES = %w[curl git iproute2 libc6-dev openssl procps ruby ruby-dev ruby-rspec strace].freeze

  # Returns the reason why the folder cannot be created, or nil.
  def self.missing
    return DebianFolder.missing if DebianFolder.missing

    "#{BINFMT} is missing: apt-get install qemu-user-static" unless File.exist?(BINFMT)
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

  def bootstrap
    super(RELEASE, "--arch=arm64")
  end

  def settle
    super && inside("apt-get", "-qq", "-y", "--no-install-recommends", "install", *PACKAGES)
  end
end
