# frozen_string_literal: true

require "open3"
require "tmpdir"

RSpec.describe "Fresh clone:" do
  it "Rake reads its files before the extension is compiled" do
    Dir.mktmpdir("proxymachine-clone") do |dir|
      root = File.expand_path("../..", __dir__)
      files = Dir.chdir(root) { IO.popen(%w[git ls-files -z], &:read) }.split("\0")
      skip "the files are those of a git checkout" if files.empty?

      files.each do |file|
        FileUtils.mkdir_p(File.dirname(File.join(dir, file)))
        FileUtils.cp(File.join(root, file), File.join(dir, file))
      end
      output, status = Open3.capture2e("ruby", "-S", "rake", "--tasks", chdir: dir)
      expect(output).to match(/^rake compile/)
      expect(status).to be_success
    end
  end
end
