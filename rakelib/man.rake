# frozen_string_literal: true

# The man page: the flags come from the option parser, the rest from man/proxymachine.1.erb.
module ManPage
  FILE = "man/proxymachine.1"

  module_function

  # @return [String] in mdoc(7)
  def text
    require "erb"
    require_relative "../lib/proxymachine"
    require_relative "../lib/proxymachine/cli"
    require_relative "../lib/proxymachine/top"
    ERB.new(File.read("#{FILE}.erb"), trim_mode: "-").result(binding)
  end

  def items(parser)
    parser.top.list.flat_map { |flag| [".It #{names(flag)}", "#{escape(flag.desc.join(" "))}."] }.join("\n")
  end

  def names(flag)
    names = [*flag.short, *flag.long].map { |name| "Fl #{name.delete_prefix("-")}" }.join(" , ")
    flag.arg ? "#{names} Ar #{flag.arg.strip}" : names
  end

  # Escapes roff's characters, and puts each sentence on its own line, as mdoc requires.
  def escape(text)
    text.gsub("\\", "\\e").gsub("-", "\\-").gsub(". ", ".\n").gsub(/^(?=[.'])/, "\\\\&")
  end
end

desc "Write man/proxymachine.1 from the flags and man/proxymachine.1.erb"
task(:man, [:file]) { |_, given| File.write(given[:file] || ManPage::FILE, ManPage.text) }
