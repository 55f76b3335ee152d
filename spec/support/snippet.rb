# frozen_string_literal: true

# A code or output block of a page: fenced, with its kind in the fence, or indented, with its kind guessed.
Snippet = Struct.new(:page, :line, :kind, :text) do
  # Returns the snippets of a page in their order.
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

  # Continuation lines of a list are indented by less.
  def self.indented(lines)
    lines.shift(lines.take_while { |line, _| line.match?(/\A {4}\S|\A {5,}/) }.size)
  end

  # Guesses the kind by the first line.
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

  # Returns the commands of a shell snippet as [[environment, words]], without redirections and comments.
  def commands
    text.gsub(/\\\n/, "").lines.flat_map { |line| line.sub(/(\A|\s)#.*/, "").split(/\s(?:\||&&|;)\s|;|\$\(|[()]/) }
        .map { |command| Shellwords.split(command.sub(/\s[<>].*/, "")) }.reject(&:empty?).map do |words|
      variables = words.take_while { |word| word.match?(/\A[A-Z_]+=/) }
      [variables.to_h { |variable| variable.split("=", 2) }, words.drop(variables.size)]
    end
  end
end
