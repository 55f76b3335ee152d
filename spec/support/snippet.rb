# frozen_string_literal: true

# A piece of code or output that a page shows: between fences, which say of what kind it is, or indented, which leaves
# that to be seen.
Snippet = Struct.new(:page, :line, :kind, :text) do
  # Those of a page, in their order.
  def self.of(page)
    lines = File.readlines(File.join(ProxyProcess::ROOT, page)).each_with_index.to_a
    found = []
    until lines.empty?
      line, number = lines.first
      taken = line.start_with?("```") ? fenced(lines) : indented(lines)
      next lines.shift if taken.empty?

      kind = line[/\A```(.*)/, 1]
      text = taken.map(&:first).join
      text = kind ? text.lines[1..-2].join : text.gsub(/^ {4}/, "")
      found << new(page, number + 1, kind || guess(text), text)
    end
    found
  end

  def self.fenced(lines)
    lines.shift(1 + lines.drop(1).index { |line, _| line.start_with?("```") } + 1)
  end

  # What goes on a list is indented, too, but less.
  def self.indented(lines)
    lines.shift(lines.take_while { |line, _| line.match?(/\A {4}\S|\A {5,}/) }.size)
  end

  # By its first line.
  def self.guess(text)
    case text
    when /\A\$ / then "console"
    when /\A\{"/ then "json"
    when /\A(?:[A-Z_]+=(?:"[^"]*"|\S+)\s+(?:\\\n\s*)?)*(\S+)/ then program?($1) ? "sh" : verb($1)
    end
  end

  def self.program?(name)
    name == "proxymachine" || File.executable?(File.join(ProxyProcess::ROOT, name)) ||
      ENV["PATH"].split(":").any? { |folder| File.executable?(File.join(folder, name)) }
  end

  def self.verb(name)
    "ruby" if Documentation.read("docs/reference.md").match?(/^\| `#{Regexp.escape(name)}\b.*\bverb/)
  end

  private_class_method :fenced, :indented, :guess, :verb

  def to_s
    "#{page}, line #{line}"
  end

  # The commands of one in sh: [[environment, words]], without redirections, comments and what shells do else.
  def commands
    text.gsub(/\\\n/, "").lines.flat_map { |line| line.sub(/(\A|\s)#.*/, "").split(/\s(?:\||&&|;)\s|;|\$\(|[()]/) }
        .map { |command| Shellwords.split(command.sub(/\s[<>].*/, "")) }.reject(&:empty?).map do |words|
      variables = words.take_while { |word| word.match?(/\A[A-Z_]+=/) }
      [variables.to_h { |variable| variable.split("=", 2) }, words.drop(variables.size)]
    end
  end
end
