# frozen_string_literal: true

# Links within the repository; links to other sites are not checked.
RSpec.describe "Links in the documentation:" do
  root = ProxyProcess::ROOT
  pages = Dir.glob("{*,docs/*,bench/*,.github/*}.md", base: root).sort

  # The anchors that GitHub derives from headings.
  anchors = lambda do |page|
    text = File.read(File.join(root, page)).gsub(/^```.*?^```$/m, "")
    text.scan(/^#+ (.*)$/).flatten.map { |heading| heading.downcase.gsub(/[^\w\- ]/, "").tr(" ", "-") }
  end

  pages.each do |page|
    text = Documentation.read(page).gsub(/^```.*?^```$/m, "")

    it "links in #{page} have a target" do
      links = text.scan(/\]\(([^)\s]+)\)/).flatten.reject { |link| link.match?(/\A\w+:/) }
      lost = links.reject do |link|
        path, anchor = link.split("#", 2)
        file = path.empty? ? page : File.join(File.dirname(page), path).delete_prefix("./")
        File.exist?(File.join(root, file)) && (anchor.nil? || anchors[file].include?(anchor))
      end
      expect(lost).to be_empty
    end

    it "files and folders named in #{page} exist" do
      top = Dir.children(root).select { |name| File.directory?(File.join(root, name)) } - %w[tmp target pkg]
      named = text.scan(%r{`((?:#{top.map { |name| Regexp.escape(name) }.join("|")})/[\w./*-]*)`}).flatten
      expect(named.select { |name| Dir.glob(name, base: root).empty? }).to be_empty
    end
  end
end
