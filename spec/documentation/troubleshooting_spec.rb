# frozen_string_literal: true

# docs/troubleshooting.md has each message that the program can write at WARN or ERROR, and those of a failed start.
RSpec.describe "docs/troubleshooting.md" do
  documents("docs/troubleshooting.md")

  messages = ProgramMessages.all
  lines = messages.transform_keys { |message| ProgramMessages.normal(message).tr("`", "'") }

  let(:rows) { page.lines.grep(/^\| .*`.*\|.*\|.*\|$/).map { |line| line.gsub("\\|", "¦").split("|").drop(1) } }
  let(:quoted) do
    cells = rows.select { |row| row.size == 4 }.map(&:first)
    cells.flat_map { |cell| cell.scan(/`([^`]+)`/).flatten }.map { |line| ProgramMessages.normal(line.tr("¦", "|")) }
  end

  lines.each do |line, place|
    it "has the message #{line.inspect} (#{place})" do
      expect(quoted).to include line
    end
  end

  it "has no message that the program cannot write" do
    expect(quoted - lines.keys).to be_empty
  end

  it "says of each what causes it and what to do" do
    expect(rows.select { |row| row.size != 4 || row.any? { |cell| cell.strip.empty? && cell != "\n" } }).to be_empty
  end

  it "is compared with the messages of all parts of the program" do
    places = messages.values.map { |place| place[%r{\A[^/]+/[^/]+}] }.uniq
    expect(places).to include("ext/engine", "ext/proxymachine", "lib/proxymachine")
    expect(messages.keys).to include("… no decision after … bytes (limit …). Closing.", "… the … block took …s",
                                     "Cannot …: the server is ending.", "Lost … log lines: …")
    # These write lines that other files make.
    sinks = %w[file stream thread].map { |name| "lib/proxymachine/log/#{name}_sink.rb" }
    # The error of a decision, of a check or of a list is an exception.
    errors = %w[testing/decision testing/description upstreams/checker upstreams/task]
             .map { |name| "lib/proxymachine/#{name}.rb" }
    expect(ProgramMessages::RubyMessages.without_message - sinks - errors)
      .to contain_exactly("lib/proxymachine/server.rb", "lib/proxymachine/lifecycle/runner.rb")
  end
end
