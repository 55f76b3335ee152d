# frozen_string_literal: true

require "open3"
require "yaml"
require_relative "../../ext/proxymachine/prerequisites"
require_relative "../../rakelib/lib/native_gem"

RSpec.describe "GitHub workflows:" do
  root = ProxyProcess::ROOT
  workflows = Dir.glob("#{root}/.github/workflows/*.yml")

  def actionlint(*files)
    command = [Prerequisites::ACTIONLINT, "actionlint"].find { |file| Prerequisites.runs?(file, "-version") }
    Open3.capture2e(command || raise("actionlint is missing: bin/setup --for-tests"), *files)
  end

  def workflow(name)
    YAML.load_file("#{ProxyProcess::ROOT}/.github/workflows/#{name}.yml")
  end

  def jobs(name)
    workflow(name)["jobs"]
  end

  it "are test.yml and release.yml" do
    expect(workflows.map { |file| File.basename(file) }).to contain_exactly("test.yml", "release.yml")
  end

  it "actionlint reports nothing" do
    output, status = actionlint(*workflows)

    expect(output).to eq ""
    expect(status).to be_success
  end

  it "actionlint reports a mistake (a check of this check)" do
    Dir.mktmpdir do |dir|
      File.write("#{dir}/wrong.yml", File.read(workflows.first).sub("runs-on:", "run-on:"))
      output, status = actionlint("#{dir}/wrong.yml")

      expect(output).to include("run-on")
      expect(status).not_to be_success
    end
  end

  workflows.each do |file|
    describe File.basename(file) do
      it "pins each action to a commit, with its version in a comment" do
        uses = File.readlines(file).grep(/uses:/)

        expect(uses).not_to be_empty
        expect(uses).to all match(%r{uses: [\w-]+/[\w-]+@\h{40} # v\d+\.\d+\.\d+$})
      end

      it "has read permissions only, except for the job that publishes" do
        content = YAML.load_file(file)
        more = content["jobs"].except("publish").values.filter_map { |job| job["permissions"] }

        expect(content["permissions"]).to eq("contents" => "read")
        expect(more).to be_empty
      end

      it "sets a timeout for each job" do
        expect(YAML.load_file(file)["jobs"].values).to all include("timeout-minutes")
      end
    end
  end

  it "test every Ruby on two architectures, and the oldest Rust" do
    expect(jobs("test").dig("linux", "strategy", "matrix"))
      .to eq("os" => ["ubuntu-24.04", "ubuntu-24.04-arm"], "ruby" => [*NativeGem::MINORS, "head"])
    expect(jobs("test")["oldest-rust"]["steps"].to_s).to include("rustup toolchain install #{Prerequisites::RUST} ")
    expect(File.read("#{root}/Cargo.toml")).to include(%(rust-version = "#{Prerequisites::RUST}"))
  end

  it "release precompiled gems for every Ruby, without a gap" do
    expect(workflow("release").dig("env", "RUBIES").split(",")).to eq(NativeGem::MINORS)
    %w[extension try].each do |job|
      expect(jobs("release").dig(job, "strategy", "matrix", "ruby")).to eq(NativeGem::MINORS)
    end
  end

  it "publish with an identity instead of a secret" do
    expect(jobs("release").dig("publish", "permissions")).to eq("contents" => "read", "id-token" => "write")
    expect(File.read("#{root}/.github/workflows/release.yml")).not_to include("secrets.")
  end

  it "have their pinned versions updated by dependabot" do
    updates = YAML.load_file("#{root}/.github/dependabot.yml")["updates"]

    expect(updates.map { |update| update["package-ecosystem"] }).to contain_exactly("github-actions", "cargo", "pip")
    expect(updates.map { |update| update["schedule"]["interval"] }).to all eq("monthly")
  end
end
