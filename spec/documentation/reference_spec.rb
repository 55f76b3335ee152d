# frozen_string_literal: true

require "json"

# docs/reference.md lists every verb, option, key and flag, and no other.
RSpec.describe "docs/reference.md:" do
  documents("docs/reference.md")

  # The names in the code.
  running(:code) do
    RubyScript.new(<<~RUBY)
      require "json"
      require "proxymachine"
      own = ->(name) { Kernel.instance_method(name).source_location&.first.to_s.end_with?("proxymachine/dsl.rb") }
      verbs = (Kernel.private_instance_methods(false) + Kernel.public_instance_methods(false)).select(&own)
      defaults = ProxyMachine::Config::Settings::ALL.transform_values(&:default)
      options = ProxyMachine::Config::Listeners.const_get(:OPTIONS)
      upstream = ProxyMachine::Config::UpstreamOptions::ALL.transform_values(&:default)
      puts JSON.generate(:verbs => verbs, :options => options, :upstream => upstream, :defaults => defaults)
    RUBY
  end

  let(:known) { code.wait && JSON.parse(code.stdout, symbolize_names: true) }
  let(:rows) { page.scan(/^\| (`.*?`) \| ([^|]*)\| ([^|]*)\| (.+) \|$/).map { |row| row.map(&:strip) } }

  # The first words in backticks of the table rows of a kind.
  def listed(kind)
    rows.select { |row| row[1].match?(kind) }.map(&:first)
  end

  it "lists every verb" do
    names = listed(/\bverb\b/).map { |cell| cell[/\A`(\w+)/, 1] }
    expect(names.uniq).to match_array known.fetch(:verbs)
  end

  it "lists every option of listen" do
    names = listed(/option of `listen`/).map { |cell| cell[/\A`:(\w+)`\z/, 1] }
    expect(names).to match_array known.fetch(:options)
  end

  it "lists every option of upstream, with its default" do
    told = rows.select { |row| row[1] == "option of `upstream`" }.to_h { |row| [row[0][/\w+/].to_sym, row[2]] }
    expect(told.keys).to match_array known.fetch(:upstream).keys
    known.fetch(:upstream).each do |name, default|
      expect(told.fetch(name)).to eq(format_default(default)) unless default.nil? || default.is_a?(Hash)
    end
  end

  it "lists every key of an answer" do
    source = Documentation.read("ext/proxymachine/src/verdict.rs")
    keys = source.scan(/^const (?:KEYS|RARE_KEYS): [^;]*; \d+\] =\s+\[(.*?)\];/m).flatten.join.scan(/\w+/)
    expect(keys.size).to be >= 11
    expect(listed(/\Akey /).map { |cell| cell[/\A`:(\w+)`\z/, 1] }).to match_array keys
  end

  it "lists every flag, as --help does" do
    help = Child.new(*ProxyProcess.command, "--help").tap(&:wait).stdout
    flags = help.scan(/^ +(?:(-\w), )?(--[\w-]+)/)
    expect(listed(/flag/).map { |cell| [cell[/`(-\w)`/, 1], cell[/`(--[\w-]+)/, 1]] }).to match_array flags
  end

  it "lists every flag of top, as its --help does" do
    help = Child.new(*ProxyProcess.command, "top", "--help").tap(&:wait).stdout
    expect(listed(/of `top`/).map { |cell| cell[/--\w+/] }).to match_array help.scan(/^ +(--\w+)/).flatten
  end

  it "lists the methods for embedders and their errors" do
    signed = Documentation.read("sig/proxymachine.rbs")[/^class ProxyMachine.*?(?=^  class Client\b)/m]
    expect(page.scan(/^\| `ProxyMachine\.(\w+)/).flatten).to match_array signed.scan(/def self\.(\w+)/).flatten
    expect(page.scan(/^\| `ProxyMachine::(\w+)/).flatten).to match_array signed.scan(/class (\w+Error|Error) </).flatten
  end

  it "has the defaults of the settings" do
    known.fetch(:defaults).each do |name, default|
      told = rows.find { |row| row.first.start_with?("`#{name}`") }.fetch(2)
      name == :max_connections ? expect(told).to(match(/descriptors/)) : expect(told).to(eq(format_default(default)))
    end
  end

  def format_default(default)
    default.nil? || default == [] ? "none" : default.to_s.delete_suffix(".0")
  end

  it "has the engine's defaults for an answer" do
    config = Documentation.read("ext/engine/src/config.rs")
    told = ->(key) { rows.find { |row| row.first == "`:#{key}`" }.fetch(2) }
    expect(told["retries"]).to eq config[/connect_retries: (\d+),/, 1]
    expect(told["retry_delay"].to_f * 1000).to eq config[/retry_delay: Duration::from_millis\((\d+)\)/, 1].to_i
    expect(told["connect_timeout"])
      .to eq Documentation.read("ext/engine/src/router/verdict.rs")[/CONNECT_TIMEOUT: .*from_secs\((\d+)\)/, 1]
  end
end
