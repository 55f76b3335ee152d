# frozen_string_literal: true

# The packages of Cargo.lock.
class CargoLock
  # checksum:: SHA-256 in hexadecimal; nil for our own crates
  # needs:: the names of dependencies, each with its version if there are several
  Package = Struct.new(:name, :version, :checksum, :needs)

  attr_reader :packages

  # text:: the text of the file
  def initialize(text)
    @packages = text.split("[[package]]").drop(1).map do |entry|
      needs = entry[/^dependencies = \[(.*?)\]/m, 1].to_s.scan(/"(.*?)"/).flatten
      Package.new(entry[/^name = "(.*)"/, 1], entry[/^version = "(.*)"/, 1], entry[/^checksum = "(.*)"/, 1], needs)
    end
  end

  # @return [Package]
  # @raise [KeyError] if there is none
  def fetch(name, version = nil)
    packages.find { |package| package.name == name && [nil, package.version].include?(version) } or
      raise KeyError, "Cargo.lock has no #{name} #{version}"
  end

  # @return [Array<Package>] the direct dependencies of a package
  def needs(package)
    package.needs.map { |need| fetch(*need.split) }
  end
end
