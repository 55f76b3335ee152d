# frozen_string_literal: true

require "digest"
require "json"
require "time"
require_relative "cargo_lock"
require_relative "native_gem"

# The software bill of materials of a release: the crates that are linked into the extension, from Cargo.lock, and the
# gems of the gemspec, as CycloneDX 1.5 (https://cyclonedx.org/docs/1.5/json/).
module Sbom
  ROOT = NativeGem::ROOT

  module_function

  # @param time [Time] of the commit, so that the same commit has the same text
  # @return [String] JSON
  def text(time)
    bom = { bomFormat: "CycloneDX", specVersion: "1.5", serialNumber: serial_number, version: 1,
            metadata: { timestamp: time.utc.iso8601, component: product }, components: crates + gems,
            dependencies: dependencies }
    "#{JSON.pretty_generate(bom)}\n"
  end

  # @return [Hash] the release itself
  def product
    purl = "pkg:gem/proxymachine@#{NativeGem.version}"
    { type: "application", "bom-ref": purl, name: "proxymachine", version: NativeGem.version, purl: purl,
      licenses: [{ license: { id: "MIT" } }] }
  end

  # @return [Array<Hash>] the linked crates
  def crates
    linked.map do |crate|
      { type: "library", "bom-ref": purl(crate), name: crate.name, version: crate.version, purl: purl(crate),
        licenses: [{ expression: crate.license.gsub("/", " OR ") }],
        hashes: [{ alg: "SHA-256", content: lock.fetch(crate.name, crate.version).checksum }] }
    end
  end

  # @return [Array<Hash>] the gems that the gem depends on; those that build it are optional
  def gems
    Gem::Specification.load("#{ROOT}/proxymachine.gemspec").runtime_dependencies.map do |gem|
      { type: "library", "bom-ref": "pkg:gem/#{gem.name}", name: gem.name, purl: "pkg:gem/#{gem.name}",
        scope: gem.name == "rb_sys" ? "optional" : "required",
        properties: [{ name: "proxymachine:requirement", value: gem.requirement.to_s }] }
    end
  end

  # Returns which package depends on which. The product depends on the crates that our own crates need, and on the gems.
  def dependencies
    own, others = lock.packages.partition { |package| package.checksum.nil? }
    direct = own.flat_map { |package| needs(package) }.uniq.sort + gems.map { |gem| gem[:"bom-ref"] }
    crates = others.select { |package| references.include?(purl(package)) }
                   .map { |package| { ref: purl(package), dependsOn: needs(package) } }
    [{ ref: product[:"bom-ref"], dependsOn: direct }, *crates]
  end

  # Returns the references of the linked crates that a package needs.
  def needs(package)
    lock.needs(package).map { |need| purl(need) } & references
  end

  def references
    @references ||= linked.map { |crate| purl(crate) }
  end

  def lock
    @lock ||= CargoLock.new(File.read("#{ROOT}/Cargo.lock"))
  end

  def linked
    @linked ||= ThirdParty.linked("#{NativeGem::CPU}-unknown-linux-gnu")
  end

  def purl(crate)
    "pkg:cargo/#{crate.name}@#{crate.version}"
  end

  # Returns a UUID that the content decides (RFC 9562, version 8).
  def serial_number
    hex = Digest::SHA256.hexdigest("#{NativeGem.version}#{File.read("#{ROOT}/Cargo.lock")}")
    hex[12] = "8"
    hex[16] = "8"
    "urn:uuid:#{hex[0, 32].sub(/(.{8})(.{4})(.{4})(.{4})/, '\1-\2-\3-\4-')}"
  end
end
