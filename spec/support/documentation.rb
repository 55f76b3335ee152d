# frozen_string_literal: true

# The configs in the documentation, run as they are except for the addresses. `documents("docs/sniffers.md")` in a group
# gives its examples `page` and `documented`.
module Documentation
  # Returns the Ruby code blocks in a text, or those below a heading.
  def self.configs(text, heading = nil)
    sections = text.split(/^(?=#+ )/)
    text = sections.find { |section| section.start_with?(/#+ #{Regexp.escape(heading)}$/) } if heading
    text.scan(/^```ruby\n(.*?)^```$/m).flatten
  end

  def self.read(path)
    File.read(File.join(ProxyProcess::ROOT, path))
  end

  def documents(path)
    page = Documentation.read(path)
    define_method(:page) { page }
    # Starts a proxy with one of the configs. Each address in it is replaced by that of a server or by another address.
    define_method(:documented) do |heading, number = 0, args: %w[-h 127.0.0.1 -p 0], **addresses|
      config = Documentation.configs(page, heading).fetch(number)
      addresses.each do |address, server|
        config.gsub!(address) { server.is_a?(String) ? server : server.address } or raise "no #{address} there"
      end
      ProxyProcess.start(config, args: args)
    end
  end
end

RSpec.configure { |config| config.extend Documentation }
