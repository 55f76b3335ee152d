# frozen_string_literal: true

# The engine's table of termination codes, and the tables of docs/logs.md that are made from it.
module TerminationCodes
  PAGE = File.expand_path("../../docs/logs.md", __dir__)

  # The generated part of the page lies between these lines.
  FIRST_LINE = "<!-- rake codes writes these tables -->"
  LAST_LINE = "<!-- end of the tables -->"

  REASONS = "The reason of a code for a failed connect is that of the last attempt. The metric\n" \
            "`proxymachine_connect_failures_total` has the same words as labels ([docs/metrics.md](metrics.md))."

  module_function

  # Rake reads its files before the extension is compiled, so the extension is loaded at the first use.
  def engine
    require_relative "../../lib/proxymachine/extension"
    ProxyMachine::Engine
  end

  # @return [Array] pairs of a reason's word and its meaning
  def reasons
    engine.failure_reasons.map { |word, meaning| ["`#{word}`", meaning] }
  end

  # @return [Hash{String => Hash}] by the two letters: :letters, :meaning, :cause, :cure, :is_error
  def all
    engine.termination_codes.to_h { |code| [code.fetch(:letters), code] }
  end

  # @return [String] the page with new tables
  def page
    text = File.read(PAGE, encoding: Encoding::UTF_8)
    text.sub(/^#{FIRST_LINE}$.*^#{LAST_LINE}$/m) { tables } or raise "no tables in #{PAGE}"
  end

  def tables
    first, second = engine.termination_letters
    [FIRST_LINE, table(["first letter", "ended by"], first.map { |letter, text| ["`#{letter}`", text] }),
     table(["second letter", "phase"], second.map { |letter, text| ["`#{letter}`", text] }),
     table(%w[code meaning cause remedy error], all.values.map { |code| row(code) }),
     "### Reasons", REASONS, table(%w[reason meaning], reasons), LAST_LINE].join("\n\n")
  end

  def row(code)
    ["`#{code[:letters]}`", code[:meaning], code[:cause], code[:cure], code[:is_error] ? "yes" : "no"]
  end

  def table(head, rows)
    [head, head.map { "---" }, *rows].map { |cells| "| #{cells.join(" | ")} |" }.join("\n")
  end
end
