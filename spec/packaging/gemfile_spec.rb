# frozen_string_literal: true

require "yaml"
require_relative "../../ext/proxymachine/prerequisites"

# Bundler is not required on a developer's machine, so that no Gemfile.lock pins the gems. The Gemfile, the gemspec,
# bin/setup and the workflows must agree.
RSpec.describe "Gemfile:" do
  def read(file)
    File.read("#{ProxyProcess::ROOT}/#{file}")
  end

  # Requirements of the gems, by name.
  let(:gems) { read("Gemfile").scan(/^\s*gem "([^"]+)"(?:, "([^"]+)")?/).to_h }

  it "has the gems that bin/setup installs" do
    expect(gems.keys).to match_array(Prerequisites::NEEDS.filter_map { |need| need.packages[:gem] })
  end

  it "has the gemspec's requirements" do
    dependencies = Gem::Specification.load("#{ProxyProcess::ROOT}/proxymachine.gemspec").dependencies
    expect(dependencies.to_h { |gem| [gem.name, gem.requirement] })
      .to eq(dependencies.to_h { |gem| [gem.name, Gem::Requirement.new(gems.fetch(gem.name))] })
  end

  it "is what the workflows install" do
    %w[test release].each do |name|
      commands = YAML.load_file("#{ProxyProcess::ROOT}/.github/workflows/#{name}.yml")["jobs"].values
                     .flat_map { |job| job["steps"].filter_map { |step| step["run"] } }
      expect(commands).to include("bundle install")
      expect(commands.grep(/gem install/)).to all match(/pkg|rb_sys/) # as a user of the gem does
    end
  end

  it "has the same Ruby as the workflows' single jobs" do
    expect(read(".github/workflows/test.yml")).to include(%(ruby-version: "#{read(".ruby-version").chomp}"))
  end
end
