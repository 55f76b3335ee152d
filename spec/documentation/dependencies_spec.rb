# frozen_string_literal: true

# Each dependency is somebody else's code to trust and to keep up with: docs/design.md gives the reason for each.
RSpec.describe "docs/design.md" do
  let(:reasons) { Documentation.read("docs/design.md")[/^## Dependencies$.*/m] }

  it "tells why there is each crate, and of no other" do
    manifests = Dir[File.join(ProxyProcess::ROOT, "ext/*/Cargo.toml")].map { |file| File.read(file) }
    tables = manifests.flat_map { |text| text.scan(/^\[(?:dev-)?dependencies\]\n(.*?)(?=^\[|\z)/m).flatten }
    crates = tables.join.scan(/^([\w-]+) = (.*)$/).reject { |_, rest| rest.include?("path =") }.map(&:first)
    told = reasons.scan(/^\| ([\w, -]+) \|/).flatten.flat_map { |names| names.split(", ") } - ["crate"]
    expect(told).to match_array crates.uniq
  end

  it "tells why there is each gem" do
    gems = Documentation.read("proxymachine.gemspec").scan(/add_dependency "([\w-]+)"/).flatten
    expect(gems).to eq ["rb_sys"]
    expect(reasons).to include("Ruby: nothing at run time but its standard library; `rb_sys` to build the extension.")
  end
end
