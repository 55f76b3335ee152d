# frozen_string_literal: true

# Every config that the documentation shows is one: the program itself checks it.
RSpec.describe "The documentation" do
  pages = ["README.md", *Dir.glob("docs/*.md", base: ProxyProcess::ROOT)]
  pages.each do |page|
    Documentation.configs(Documentation.read(page)).each.with_index(1) do |config, number|
      it "shows in #{page}, number #{number}, a config that can be used" do
        Dir.mktmpdir do |dir|
          config = config.gsub("unix:/run/", "unix:#{dir}/")
          child = ProxyProcess.new(config, args: ["--check"])
          expect([child.wait.exitstatus, child.stderr]).to eq [0, ""]
        end
      end
    end
  end

  it "is looked through for them" do
    expect(pages.sum { |page| Documentation.configs(Documentation.read(page)).size }).to be > 10
  end
end
