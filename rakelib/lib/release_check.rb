# frozen_string_literal: true

require "tmpdir"
require_relative "pictures"
require_relative "release_files"
require_relative "signatures"

# The list of docs/releasing.md, as far as a program can check it. Each method returns the reasons against a release.
class ReleaseCheck
  ROOT = NativeGem::ROOT
  # Changes that no measurement depends on.
  UNMEASURED = %w[bench docs spec man sig rakelib contrib examples .github *.md lib/proxymachine/version.rb Cargo.toml
                  Cargo.lock].freeze
  GENERATED = %w[documentation/man_page documentation/logs documentation/pictures packaging/completion].freeze
  CHECKS = {
    "tree" => :tree, "version" => :version, "changelog" => :changelog, "lock files" => :locks,
    "signatures" => :signatures, "generated files" => :generated, "reports" => :reports, "packages" => :packages,
    "trial of the gems" => :trial, "checksums" => :checksums
  }.freeze

  # Prints a line for each check.
  # @return [Boolean] whether all passed
  def run
    CHECKS.map do |title, check|
      reasons = send(check)
      puts("#{title}: #{reasons.empty? ? "ok" : "FAILED"}", reasons.map { |reason| "  #{reason}" })
      reasons.empty?
    end.all?
  end

  private

  def tree
    git("status", "--porcelain").lines(chomp: true).map { |line| "not committed: #{line}" }
  end

  def version
    [release.version == NativeGem.version || "Cargo.toml has another version than version.rb",
     !Gem::Version.new(NativeGem.version).prerelease? || "#{NativeGem.version} is a prerelease"].grep(String)
  end

  def changelog
    text = File.read("#{ROOT}/CHANGELOG.md")
    section = /^## \[#{Regexp.escape(NativeGem.version)}\] - \d{4}-\d\d-\d\d$/
    [text.match?(section) || "there is no section for this version, with a date",
     !text.match?(/^## \[Unreleased\]\n\s*\S/) || "the section Unreleased is not empty"].grep(String)
  end

  def locks
    manifests = ["Cargo.toml", *Dir.glob("ext/*/fuzz/Cargo.toml", base: ROOT)]
    stale = manifests.reject do |manifest|
      succeeds?("cargo", "metadata", "--locked", "--format-version", "1", "--manifest-path", manifest)
    end
    stale.map { |manifest| "the lock file of #{manifest} is not up to date: cargo update --workspace" }
  end

  def signatures
    succeeds?(*Signatures.validation) ? [] : ["rbs validate reports errors in sig"]
  end

  # The specs of the files that tasks write compare them with what the tasks would write now.
  def generated
    return [] if succeeds?("ruby", "-S", "rspec", *GENERATED.map { |name| "spec/#{name}_spec.rb" })

    ["a file is not what its task writes (man, codes, completion, pictures): see ruby -S rspec #{GENERATED.join(" ")}"]
  end

  # The newest reports measure this very code.
  def reports
    Dir.glob("#{ROOT}/bench/reports/*-*.md").group_by { |file| file[/[a-z]+(?=\.md)/] }.values.filter_map do |files|
      measured = File.read(files.max)[/^- commit: (\h+)/, 1]
      next "#{File.basename(files.max)} measured #{measured}, which this history lacks" unless known?(measured)

      changed = git("diff", "--name-only", measured, "HEAD", "--", ".", *UNMEASURED.map { |path| ":!#{path}" }).lines
      next if changed.empty?

      "#{File.basename(files.max)} measured #{measured}; since then #{changed.size} files of the program have changed"
    end
  end

  def packages
    release.missing.map { |file| "pkg/#{file} is missing: rake release:build" }
  end

  # Installs each gem for this machine into an empty folder, and runs the demo.
  def trial
    release.installable.reject { |file| try(file) }.map { |file| "#{file} does not install or run the demo" }
  end

  def try(file)
    Dir.mktmpdir do |dir|
      environment = { "GEM_HOME" => dir, "GEM_PATH" => [dir, *Gem.path].join(":") }
      succeeds?(environment, "gem", "install", "--local", "--no-document", "--ignore-dependencies", "--force",
                "--bindir", "#{dir}/bin", "pkg/#{file}") &&
        succeeds?(environment.merge("PROXYMACHINE_BIN" => "#{dir}/bin/proxymachine"), "ruby", "bin/demo.rb", "--once")
    end
  end

  def checksums
    return ["there is no pkg/#{ReleaseFiles::CHECKSUMS}: rake release:build"] unless release.checksums?

    release.wrong.map { |file| "#{file} has another checksum" }
  end

  def release
    @release ||= ReleaseFiles.new
  end

  def git(*arguments)
    Shell.run("git", *arguments, chdir: ROOT)
  end

  def known?(commit)
    succeeds?("git", "merge-base", "--is-ancestor", commit, "HEAD")
  end

  def succeeds?(*command)
    system(*command, chdir: ROOT, %i[out err] => File::NULL)
  end
end
