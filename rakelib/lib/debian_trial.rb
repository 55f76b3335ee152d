# frozen_string_literal: true

require_relative "debian_folder"
require_relative "debian_package"

# Installs, runs, upgrades, removes and purges the Debian package in a clean Debian.
module DebianTrial
  # The releases, with their Ruby.
  RUBIES = { "bookworm" => "3.1", "trixie" => "3.3" }.freeze
  SCRIPT = File.join(__dir__, "debian_trial.sh")
  # What the package depends on, with what the script itself needs.
  PACKAGES = %w[ruby adduser libgcc-s1].freeze
  INSTALL = "apt-get -qq update && apt-get -qq install --yes --no-install-recommends #{PACKAGES.join(" ")}".freeze

  module_function

  # @param suite [String] the release
  # @return [String] why the package cannot be tried on it; nil if nothing prevents it
  def missing(suite)
    DebianFolder.missing || ("debootstrap or apt-get failed in #{clean(suite).dir}" unless clean(suite).make)
  end

  # @param suite [String] the release
  # @param packages [Array<String>] the package, and a newer one
  # @return [String] the output
  # @raise [RuntimeError] if a step fails
  def run(suite, packages)
    folder = DebianFolder.new("#{suite}-#{Process.pid}", parent: "tmp/trial")
    prepare(folder, clean(suite))
    [*packages, SCRIPT].each { |file| FileUtils.cp(file, "#{folder.dir}#{DebianFolder::SOURCES}") }
    command = ["unshare", "--net", "sh", *[SCRIPT, *packages].map { |file| "./#{File.basename(file)}" }]
    output(folder, *command)
  ensure
    FileUtils.rm_rf(folder.dir)
  end

  # Copies a clean folder, and installs the dependencies, because the script has no network.
  def prepare(folder, clean)
    folder.copy(clean)
    output(folder, "sh", "-c", INSTALL)
  end

  def clean(suite)
    DebianFolder.new(suite, parent: "tmp/clean")
  end

  # Returns the output of a command in a folder.
  def output(folder, *command)
    reader, writer = IO.pipe
    text = Thread.new { reader.read }
    passed = folder.run(*command, %i[out err] => writer)
    writer.close
    passed ? text.value : raise("in #{folder.dir}: #{command.join(" ")} failed:\n#{text.value}")
  end
end
