# frozen_string_literal: true

require "json"
require "open3"

# The licences of the crates linked into a precompiled extension: the texts in each crate, and the notice
# of Rust's standard library. A text that several crates share is printed once.
module ThirdParty
  ENTITIES = { "amp" => "&", "lt" => "<", "gt" => ">", "quot" => '"' }.freeze
  NAMES = /\A(licen[cs]e|copying|copyright|notice|unlicense)/i

  module_function

  # A third-party crate. license:: the name in its manifest
  Crate = Struct.new(:name, :version, :license, :dir) do
    def to_s
      "#{name} #{version}"
    end
  end

  # target:: the Rust name of the platform
  def text(target)
    crates = linked(target)
    sections = texts(crates).map { |text, names| [names.join("\n"), rule, text.strip].join("\n") }
    standard = ["Rust's standard library", rule, standard_library.strip].join("\n")
    "#{[introduction(crates), *sections, standard].join("\n\n\n")}\n"
  end

  # Returns the linked crates, without build dependencies and procedural macros.
  def linked(target)
    tree = run("cargo", "tree", "--locked", "--package", "proxymachine", "--target", target,
               "--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}").lines
    names = tree.map { |line| line[/\A\S+ v\S+/] }.uniq
    packages(target).select { |crate| names.include?("#{crate.name} v#{crate.version}") }.sort_by(&:to_s)
  end

  def packages(target)
    metadata = run("cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target)
    JSON.parse(metadata)["packages"].select { |package| package["source"] }.map do |package|
      Crate.new(*package.values_at("name", "version", "license"), File.dirname(package["manifest_path"]))
    end
  end

  # Returns the crates of each licence text, including texts of bundled C libraries.
  def texts(crates)
    crates.each_with_object(Hash.new { |hash, text| hash[text] = [] }) do |crate, all|
      files = Dir.glob(%w[* c_src/**/*], base: crate.dir).sort.select do |file|
        File.basename(file).match?(NAMES) && File.file?("#{crate.dir}/#{file}")
      end
      raise "#{crate} ships no licence" if files.empty?

      files.each { |file| all[File.read("#{crate.dir}/#{file}", encoding: "UTF-8")] << "#{crate}: #{file}" }
    end
  end

  def standard_library
    html = "#{run("rustc", "--print", "sysroot").chomp}/share/doc/rust/COPYRIGHT-library.html"
    return text_of(File.read(html)) if File.exist?(html)

    debian = "/usr/share/doc/libstd-rust-dev/copyright"
    return File.read(debian, encoding: "UTF-8") if File.exist?(debian)

    raise "the notice of Rust's standard library is neither #{html} nor #{debian}"
  end

  def text_of(html)
    text = html.gsub(/<[^>]*>/, "").gsub(/\n\s*\n\s*\n/, "\n\n")
    text.gsub(/&#(\d+);/) { $1.to_i.chr("UTF-8") }.gsub(/&(\w+);/) { |entity| ENTITIES.fetch($1, entity) }
  end

  def introduction(crates)
    <<~TEXT
      ProxyMachine's precompiled extension contains these crates, under these licences, whose texts follow, and the
      standard library of Rust:

      #{crates.map { |crate| "  #{crate}  #{crate.license}" }.join("\n")}
    TEXT
  end

  def rule
    "-" * 72
  end

  def run(*command)
    output, errors, status = Open3.capture3(*command)
    raise "#{command.join(" ")} failed:\n#{errors}" unless status.success?

    output
  end
end
