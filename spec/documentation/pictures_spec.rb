# frozen_string_literal: true

require_relative "../../rakelib/lib/pictures"

# docs/images, as `rake pictures` writes them.
RSpec.describe "Pictures" do
  folder = Pictures::FOLDER

  define_method(:image) { |name| File.binread(File.join(folder, name)) }

  # Returns width, height and color type from the first chunk of a PNG.
  def header(png)
    expect(png.byteslice(0, 16)).to eq "\x89PNG\r\n\x1A\n\0\0\0\rIHDR".b
    png.byteslice(16, 10).unpack("NNxC")
  end

  Pictures::DRAWN.each do |name, draw|
    it "#{name}: `rake pictures` would draw the same" do
      expect(image(name).force_encoding(Encoding::UTF_8)).to eq draw.call
    end
  end

  Pictures::SCREENSHOTS.each do |name|
    it "#{name}: is a PNG of the expected size, below 300 kB" do
      width, height, = header(image(name))
      expect(width).to eq Pictures::SCREENSHOT_WIDTH
      expect(height).to be_between(900, 2000)
      expect(image(name).bytesize).to be_between(50_000, 300_000)
    end
  end

  it "status page: the two color schemes have the same size and different pixels" do
    light, dark = Pictures::SCREENSHOTS.map { |name| image(name) }
    expect(header(light)).to eq header(dark)
    expect(light == dark).to be false
  end

  it "connection.svg: has each termination code of the engine once, errors in red" do
    drawn = image("connection.svg").scan(%r{class="(letters|alarm)" text-anchor="middle">(..)</text>})
    codes = TerminationCodes.all.values
    expect(codes).not_to be_empty
    expect(drawn).to match_array(codes.map { |code| [code[:is_error] ? "alarm" : "letters", code[:letters]] })
  end

  it "README and design page: show every picture in the folder" do
    shown = ["README.md", "docs/design.md"].to_h do |page|
      [page, Documentation.read(page).scan(%r{images/([\w.-]+)}).flatten.uniq]
    end
    expect(shown).to match("README.md" => match_array(%w[costs.svg status-dark.png status-light.png]),
                           "docs/design.md" => match_array(%w[connection.svg threads.svg]))
    expect(Dir.children(folder)).to match_array shown.values.flatten
  end

  it "gem: contains the pages and no picture" do
    files = Gem::Specification.load(File.join(ProxyProcess::ROOT, "proxymachine.gemspec")).files
    expect(files.grep(%r{\Adocs/.*\.md\z})).not_to be_empty
    expect(files.grep(%r{\Adocs/images/|\.(?:png|svg)\z})).to be_empty
  end
end
