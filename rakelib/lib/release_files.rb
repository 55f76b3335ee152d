# frozen_string_literal: true

require "digest"
require_relative "debian_package"
require_relative "sbom"

# The files of a release, in pkg.
class ReleaseFiles
  DIR = File.join(NativeGem::ROOT, "pkg")
  CHECKSUMS = "SHA256SUMS"

  # dir:: the folder
  def initialize(dir = DIR)
    @dir = dir
  end

  # @return [String] the version in Cargo.toml, in the form of a gem's
  def version
    File.read("#{NativeGem::ROOT}/Cargo.toml")[/^version = "(.*)"/, 1].sub("-", ".")
  end

  # @return [Array<String>] the files that a release has, for this machine's architecture
  def names
    [source_gem, native_gem, "proxymachine_#{DebianPackage.version}_#{debian_architecture}.deb", sbom]
  end

  def missing
    names.reject { |name| File.exist?("#{@dir}/#{name}") }
  end

  # @return [Array<String>] the gems that this machine can install
  def installable
    [source_gem, native_gem] - missing
  end

  # Writes the bill of materials, and the checksums of all files in pkg that belong to this version.
  # @param time [Time] in the bill of materials
  def finish(time = commit_time)
    File.write("#{@dir}/#{sbom}", Sbom.text(time))
    lines = present.map { |name| "#{Digest::SHA256.file("#{@dir}/#{name}").hexdigest}  #{name}\n" }
    File.write("#{@dir}/#{CHECKSUMS}", lines.join)
  end

  def commit_time
    Time.at(Integer(Shell.run("git", "log", "-1", "--format=%ct", chdir: NativeGem::ROOT)))
  end

  def checksums?
    File.exist?("#{@dir}/#{CHECKSUMS}")
  end

  # @return [Array<String>] the files that are not those that the checksums are of, or have none
  def wrong
    sums = File.readlines("#{@dir}/#{CHECKSUMS}").to_h { |line| line.split.reverse }
    present.reject { |name| sums[name] == Digest::SHA256.file("#{@dir}/#{name}").hexdigest }
  end

  private

  # Gems of other architectures, too.
  def present
    versions = Regexp.union(NativeGem.version, DebianPackage.version)
    Dir.children(@dir).grep(/\Aproxymachine[-_]#{versions}[-_.]/).sort
  end

  def source_gem = "proxymachine-#{NativeGem.version}.gem"
  def native_gem = "proxymachine-#{NativeGem.version}-#{NativeGem::CPU}-linux.gem"
  def sbom = "proxymachine-#{NativeGem.version}.cdx.json"

  def debian_architecture
    { "x86_64" => "amd64", "aarch64" => "arm64" }.fetch(NativeGem::CPU)
  end
end
