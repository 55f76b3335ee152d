# frozen_string_literal: true

require "time"
require_relative "native_gem"

# The Debian package: what the precompiled gem has, in Debian's places, with contrib/debian. One package serves every
# release of Debian whose Ruby it has an extension for.
module DebianPackage
  ROOT = NativeGem::ROOT
  SOURCES = File.join(ROOT, "contrib/debian")

  module_function

  # @return [String] what is missing to build a package, as a sentence; nil if nothing is
  def missing
    packages = %w[build-essential debhelper dpkg-dev fakeroot]
    absent = packages.reject { |name| system("dpkg-query", "--show", name, %i[out err] => File::NULL) }
    "#{absent.join(", ")} missing: apt-get install #{packages.join(" ")}" if absent.any?
  end

  # @param version [String] of the gem
  # @return [String] Debian's version, in which ~ sorts before a release and -1 is the package's own number
  def version(version = NativeGem.version)
    "#{version.sub(/\.(?=[a-z])/, "~")}-1"
  end

  # Builds the package.
  # @param minors [Array<String>] the versions of Ruby to pack extensions for
  # @param into [String] folder for the package
  # @param version [String] the package's version
  # @return [String] the package's file
  def build(minors, into: File.join(ROOT, "pkg"), version: self.version)
    obstacle = missing and raise obstacle
    dir = Shell.fresh(File.join(into, ".deb"))
    stage = File.join(dir, "proxymachine")
    NativeGem.stage(stage, minors)
    describe(stage, minors, version)
    Shell.run({ "DEB_BUILD_OPTIONS" => "noautodbgsym" }, "dpkg-buildpackage", "--build=binary", "--no-sign",
              chdir: stage)
    file = Dir["#{dir}/*.deb"].first
    FileUtils.mv(file, into)
    FileUtils.rm_rf(dir)
    File.join(into, File.basename(file))
  end

  # Adds the directory "debian".
  def describe(stage, minors, version)
    FileUtils.cp_r(SOURCES, File.join(stage, "debian"))
    File.write(File.join(stage, "debian/changelog"), changelog(version))
    File.write(File.join(stage, "debian/ruby-depends"), dependencies(minors))
  end

  # Debian's default Ruby must be one of those with an extension, and its library be present.
  def dependencies(minors)
    ["ruby (>= 1:#{minors.first})", "ruby (<< 1:#{minors.last.succ}~)",
     minors.map { |minor| "libruby#{minor}" }.join(" | ")].join(", ")
  end

  # The time is that of the commit, so that the same commit builds the same package.
  def changelog(version)
    time = Time.at(Integer(ENV.fetch("SOURCE_DATE_EPOCH") { commit_time })).utc.rfc2822
    <<~TEXT
      proxymachine (#{version}) unstable; urgency=medium

        * See changelog.gz beside this file.

       -- #{File.read("#{SOURCES}/control")[/^Maintainer: (.*)/, 1]}  #{time}
    TEXT
  end

  # An unpacked archive has no commits.
  def commit_time
    time, status = Open3.capture2("git", "log", "-1", "--format=%ct", chdir: ROOT, err: File::NULL)
    status.success? ? time : File.mtime("#{ROOT}/CHANGELOG.md").to_i
  end
end
