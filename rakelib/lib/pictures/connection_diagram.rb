# frozen_string_literal: true

require_relative "connection"
require_relative "svg"
require_relative "../termination_codes"

module Pictures
  # Draws the steps of a connection, a row each: the threads that act, and the termination codes of connections that end
  # in that step.
  class ConnectionDiagram
    TITLE = "A connection, from accept to close"
    RULES = <<~CSS
      .step { fill: $wash; stroke: $accent; }
      .name { font-size: 15px; font-weight: 650; fill: $accent; }
      .way { fill: none; stroke: $accent; stroke-width: 1.5; }
      .head { fill: $accent; }
      .fine { fill: $wash; }
      .error { fill: $badwash; }
      .letters { font: 600 12px ui-monospace, 'DejaVu Sans Mono', monospace; fill: $accent; }
      .alarm { font: 600 12px ui-monospace, 'DejaVu Sans Mono', monospace; fill: $bad; }
      .thread { fill: none; stroke: $line; }
      .small { font-size: 12px; }
    CSS

    WIDTH = 996
    MARGIN = 20
    STEP = 132
    MIDDLE = MARGIN + STEP + 28
    TEXT = 322
    ENDS = MIDDLE + TEXT + 40
    CHIP = 222
    LINE = 18
    GAP = 26

    def initialize(codes = TerminationCodes.all)
      Connection.compare(codes.keys)
      @codes = codes
      @svg = SVG.new(title: TITLE, description: description, rules: RULES)
    end

    def to_s
      @svg.text(MARGIN, 38, TITLE, "title")
      @svg.text(MARGIN + 4, 64, "step", "faint")
      @svg.text(MIDDLE, 64, "threads and what they do", "faint")
      @svg.text(ENDS, 64, "termination codes of the connections that end here; red: an error", "faint")
      bottom = Connection::STEPS.reduce(74) { |top, step| draw(step, top) }
      @svg.document(WIDTH, bottom - GAP + 20)
    end

    private

    def description
      steps = Connection::STEPS.map do |step|
        "#{step.name} (#{step.threads.join(", ")}): #{step.acts.join(" ")}#{ends(step)}"
      end
      steps.join(" ")
    end

    def ends(step)
      step.ends.map do |heading, codes|
        " Ends, #{heading}: #{codes.map { |letters, phrase| "#{letters} #{phrase}" }.join(", ")}."
      end.join
    end

    # @return [Integer] where the next step begins
    def draw(step, top)
      width = step.ends.empty? ? WIDTH - MIDDLE - 40 : TEXT
      lines = step.acts.flat_map { |act| SVG.wrap(act, width, 12) }
      height = height_of(step, lines)
      draw_step(step, top, height)
      @svg.rect(MIDDLE - 14, top, WIDTH - MIDDLE - 6, height, "card", radius: 8)
      draw_threads(step.threads, top + 10)
      draw_lines(lines, top + 50)
      step.ends.each_with_index { |column, index| draw_ends(*column, ENDS + (index * CHIP), top) }
      top + height + GAP
    end

    def height_of(step, lines)
      rows = step.ends.values.map(&:size).max
      [46 + (lines.size * LINE), rows ? 34 + (rows * 24) : 0].max
    end

    def draw_step(step, top, height)
      @svg.rect(MARGIN, top, STEP - 14, height, "step", radius: 8)
      center = MARGIN + (STEP / 2) - 7
      @svg.text(center, top + 26, step.name, "name", anchor: "middle")
      draw_loop(step.loop, top, center) if step.loop
      bottom = top + height
      @svg.arrow([[center, bottom], [center, bottom + GAP - 1]], "way") unless step == Connection::STEPS.last
    end

    # Draws an arrow from the step back to itself.
    def draw_loop(label, top, center)
      left = center - 22
      right = center + 22
      @svg.arrow([[right, top + 44], [right, top + 56], [left, top + 56], [left, top + 42]], "way")
      SVG.wrap(label, STEP - 26, 12).each_with_index do |line, index|
        @svg.text(center, top + 74 + (index * 16), line, "faint", anchor: "middle")
      end
    end

    def draw_threads(threads, top)
      threads.reduce(MIDDLE) do |left, thread|
        width = SVG.width(thread, 12) + 18
        @svg.rect(left, top, width, 21, "thread", radius: 10)
        @svg.text(left + (width / 2), top + 15, thread, "faint", anchor: "middle")
        left + width + 8
      end
    end

    def draw_lines(lines, top)
      lines.each_with_index { |text, line| @svg.text(MIDDLE, top + (line * LINE), text, "small") }
    end

    def draw_ends(heading, codes, left, top)
      @svg.text(left, top + 20, heading, "faint")
      codes.each_with_index { |(letters, phrase), row| chip(letters, phrase, left, top + 29 + (row * 24)) }
    end

    def chip(letters, phrase, left, top)
      error = @codes.fetch(letters).fetch(:is_error)
      @svg.rect(left, top, 28, 20, error ? "error" : "fine", radius: 5)
      @svg.text(left + 14, top + 14, letters, error ? "alarm" : "letters", anchor: "middle")
      @svg.text(left + 36, top + 14, phrase, "small")
    end
  end
end
