# frozen_string_literal: true

require "erb"
require_relative "termination_codes"
require_relative "../../lib/proxymachine"
require_relative "../../lib/proxymachine/cli"
require_relative "../../lib/proxymachine/cli/init"
require_relative "../../lib/proxymachine/top"

# The completion of the command line in bash and zsh. The flags come from the option parsers, as --help does, and the
# rest from the templates in contrib/completion.
module Completion
  DIR = File.expand_path("../../contrib/completion", __dir__)
  # By the placeholder of a flag's value: what completes it, as arguments of bash's compgen and as a function of zsh.
  KINDS = {
    "CONFIG" => %w[-f _files], "FILE" => %w[-f _files], "DIR" => %w[-d _directories], "USER" => %w[-u _users],
    "GROUP" => %w[-g _groups], "HOST" => ["-A hostname", "_hosts"]
  }.freeze

  # A flag. names:: "-c" and "--config"; argument:: the placeholder of its value, or nil; text:: its line in --help
  Flag = Struct.new(:names, :argument, :text) do
    # The words that the value is one of; empty if it is anything else.
    def words
      name = names.last.delete_prefix("--").tr("-", "_").to_sym
      reader = ProxyMachine::Config::Settings::ALL[name]&.reader
      reader.respond_to?(:words) ? reader.words.map(&:to_s) : []
    end

    # Arguments of bash's compgen; none if there is nothing to propose for the value.
    def bash
      words.any? ? "-W \"#{words.join(" ")}\"" : KINDS.fetch(argument, [""]).first
    end

    # An argument of zsh's _arguments. The flag may be repeated if its text says so.
    def zsh
      repeats = "*" if text.match?(/repeatable/i)
      text_in_brackets = text.gsub(/[\[\]:\\]/) { |character| "\\#{character}" }
      action = words.any? ? "(#{words.join(" ")})" : KINDS.fetch(argument, [nil, " "]).last
      value = ":#{argument.downcase}:#{action}" if argument
      others = "(#{names.join(" ")})" if names.size > 1
      names.map { |name| quote("#{repeats || others}#{form(name)}[#{text_in_brackets}]#{value}") }
    end

    private

    # "-c+" takes the value in the same word or in the next one, "--config=" after the equals sign, too.
    def form(name)
      return name unless argument

      name.start_with?("--") ? "#{name}=" : "#{name}+"
    end

    def quote(text)
      "'#{text.gsub("'", "'\\\\''")}'"
    end
  end

  module_function

  # @return [Hash] the texts by the files' names
  def files
    Dir.children(DIR).grep(/\.erb\z/).sort.to_h do |template|
      [template.delete_suffix(".erb"), ERB.new(File.read("#{DIR}/#{template}"), trim_mode: "-").result(binding)]
    end
  end

  # @return [Hash] the flags of the server and of the commands that have some, by command
  def flags
    { "init" => ProxyMachine::CLI::Init.new, "top" => ProxyMachine::Top.new, nil => ProxyMachine::CLI::Options.new([]) }
      .transform_values do |object|
        object.parser.top.list.map { |flag| Flag.new(flag.short + flag.long, flag.arg&.strip, flag.desc.join(" ")) }
      end
  end

  def commands
    ProxyMachine::CLI::Commands::ALL
  end

  def codes
    TerminationCodes.all.keys
  end
end
