# frozen_string_literal: true

require "open3"

# man/proxymachine.1, checked with mandoc and groff.
RSpec.describe "Man page:" do
  page = File.join(ProxyProcess::ROOT, "man", "proxymachine.1")

  def output(*command, **options)
    said, status = Open3.capture2e(*command, chdir: ProxyProcess::ROOT, **options)
    status.success? ? said : raise("#{command.join(" ")} failed:\n#{said}")
  end

  it "is up to date: `rake man` writes the same text" do
    Dir.mktmpdir do |dir|
      output(RbConfig.ruby, "-S", "rake", "man[#{dir}/page]")
      expect(File.read("#{dir}/page")).to eq File.read(page)
    end
  end

  it "mandoc reports nothing" do
    expect(output("mandoc", "-Tlint", "-W", "warning", page)).to eq ""
  end

  it "groff reports nothing" do
    expect(output("groff", "-mdoc", "-ww", "-z", "-Tutf8", page)).to eq ""
  end

  it "lists the flags of --help and of top --help with their text" do
    shown = output("mandoc", "-Tascii", "-O", "width=1000", page).gsub(/.\x08/, "").gsub(/\s+/, " ")
    [[], ["top"]].each do |command|
      help = output(*ProxyProcess.command, *command, "--help").gsub(/\n {20,}/, "  ")
      flags = help.scan(/^ +((?:-\w, )?--.*?) {2,}(.*)$/)
      expect(flags.size).to be >= 4
      flags.each { |names, text| expect(shown).to include("#{names} #{text}.") }
    end
  end

  it "has a valid example config" do
    config = File.read(page)[/^proxy do.*?^end\n/m].gsub("\\e", "\\")
    expect(ProxyProcess.new(config, args: ["--check"]).wait).to be_success
  end
end
