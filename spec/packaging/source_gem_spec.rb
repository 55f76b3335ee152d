# frozen_string_literal: true

# Installing compiles the extension, which takes a minute. The compiled crates are kept under tmp for the next run,
# except in CI, where the gem is built exactly as on a user's machine.
RSpec.describe "Source gem:", :slow do
  root = ProxyProcess::ROOT

  # RubyGems runs `make clean` first; with empty lists of files it removes nothing.
  def compiled_crates_of_last_time(root)
    return {} if ENV["CI"]

    { "RB_SYS_CARGO_TARGET_DIR" => "#{root}/tmp/packaging", "MAKEFLAGS" => "CLEANOBJS= CLEANLIBS= CLEANFILES=" }
  end

  before(:context) do
    @dir = Dir.mktmpdir("proxymachine-gem")
    @file = File.join(@dir, "proxymachine.gem")
    InstalledGem.run("gem", "build", "--strict", "--output", @file, "proxymachine.gemspec", chdir: root)
    @gem = InstalledGem.new(@file, **compiled_crates_of_last_time(root))
  end

  after(:context) do
    @gem&.remove
    FileUtils.rm_rf(@dir)
  end

  attr_reader :gem

  it_behaves_like "an installed gem"

  it "contains its sources, and neither tests nor build products" do
    files = Gem::Package.new(@file).spec.files
    crates = File.read("#{root}/Cargo.toml")[/members = \[(.*)\]/, 1].scan(/"(.*?)"/).flatten

    expect(files).to include("Cargo.toml", "Cargo.lock", "ext/proxymachine/extconf.rb", "ext/admin/src/page.html",
                             "lib/proxymachine.rb", "exe/proxymachine", "examples/demo.rb", "README.md", "LICENSE",
                             *crates.flat_map { |crate| ["#{crate}/Cargo.toml", "#{crate}/src/lib.rs"] })
    expect(files.grep(%r{\.(so|bundle|gem|o)\z|/target/|\A(spec|tmp|pkg|bench|bin)/|/(tests|fuzz)/})).to be_empty
  end

  it "is built from its own files and its lock file" do
    expect(File.read("#{root}/ext/proxymachine/extconf.rb")).to include("--locked")
    manifests = Dir.glob("#{gem.home}/gems/*/ext/*/Cargo.toml")

    expect(manifests.size).to eq(4)
    paths = manifests.flat_map do |file|
      File.read(file).scan(/path = "(.*?)"/).map { |path,| File.expand_path(path, File.dirname(file)) }
    end
    expect(paths).not_to be_empty
    expect(paths).to all start_with("#{gem.home}/")
  end

  it "is small: no intermediate files, and a stripped extension" do
    expect(Dir.glob("#{gem.home}/**/{target,.rb-sys}", File::FNM_DOTMATCH)).to be_empty
    extensions = gem.files.grep(/\.(so|bundle)\z/)
    expect(extensions.size).to eq(2) # RubyGems keeps a second copy beside the gem
    extensions.each { |file| expect(Open3.capture2e("nm", file).first).to include("no symbols") }
    expect(gem).to be_small
  end
end
