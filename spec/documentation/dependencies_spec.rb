# frozen_string_literal: true

# A dependency is foreign code to trust and to update: docs/design.md gives a reason for each.
RSpec.describe "Dependencies in docs/design.md:" do
  let(:reasons) { Documentation.read("docs/design.md")[/^## Dependencies$.*/m] }

  it "each crate has a reason, and no other is listed" do
    manifests = Dir[File.join(ProxyProcess::ROOT, "ext/*/Cargo.toml")].map { |file| File.read(file) }
    tables = manifests.flat_map { |text| text.scan(/^\[(?:dev-)?dependencies\]\n(.*?)(?=^\[|\z)/m).flatten }
    crates = tables.join.scan(/^([\w-]+) = (.*)$/).reject { |_, rest| rest.include?("path =") }.map(&:first)
    told = reasons.scan(/^\| ([\w, -]+) \|/).flatten.flat_map { |names| names.split(", ") } - ["crate"]
    expect(told).to match_array crates.uniq
  end

  it "each gem has a reason" do
    gems = Documentation.read("proxymachine.gemspec").scan(/add_dependency "([\w-]+)"/).flatten
    expect(gems).to eq %w[logger rb_sys]
    expect(reasons).to include("Ruby: nothing at run time but its standard library, of which `logger` is a gem since " \
                               "Ruby 4.0; `rb_sys` to build the extension.")
  end
end
