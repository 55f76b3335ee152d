# frozen_string_literal: true

require_relative "svg"
require_relative "threads"

module Pictures
  # Draws the threads of a process, the queues between them, and the programs outside.
  class ThreadsDiagram
    TITLE = "The threads of a process"
    RULES = <<~CSS
      .frame { fill: $card; stroke: $line; }
      .outside { fill: $ground; stroke: $faint; }
      .native { fill: $wash; stroke: $accent; }
      .ruby { fill: $badwash; stroke: $bad; }
      .queue { fill: $warnwash; stroke: $warn; }
      .small { font-size: 12px; }
      .way { fill: none; stroke: $faint; stroke-width: 1.5; }
      .head { fill: $faint; }
    CSS

    CELL = 20
    MARGIN = 20
    TOP = 58
    KEY_PLACE = [37, 24.5].freeze
    KEY = { "native" => "native thread", "queue" => "queue", "ruby" => "Ruby thread" }.freeze

    def initialize
      @svg = SVG.new(title: TITLE, description: description, rules: RULES)
    end

    def to_s
      @svg.text(MARGIN, 38, TITLE, "title")
      draw(Threads::PROCESS)
      Threads::BOXES.each_value { |box| draw(box) }
      Threads::ARROWS.each { |arrow| connect(arrow) }
      key
      left, top, width, height = pixels(Threads::PROCESS.place)
      @svg.document(left + width + MARGIN, top + height + MARGIN)
    end

    private

    def description
      boxes = Threads::BOXES.values.map { |box| "#{box.title}: #{box.lines.reject(&:empty?).join(" ")}" }
      arrows = Threads::ARROWS.map do |arrow|
        "#{Threads::BOXES[arrow.from.first].title} to #{Threads::BOXES[arrow.to.first].title}"
      end
      "#{Threads::PROCESS.title}. #{boxes.join("; ")}. Ways: #{arrows.join("; ")}."
    end

    def pixels(place)
      left, top, *size = place.map { |cells| (cells * CELL).to_i }
      [left + MARGIN, top + TOP, *size]
    end

    def draw(box)
      left, top, width, height = pixels(box.place)
      [8, 4].each { |off| @svg.rect(left + off, top + off, width, height, box.kind, radius: 8) } if box.several
      @svg.rect(left, top, width, height, box.kind, radius: 8)
      @svg.text(left + 12, top + 24, box.title, "heading")
      box.lines&.each_with_index { |line, index| @svg.text(left + 12, top + 46 + (index * 19), line, "small") }
    end

    def key
      left, top = pixels(KEY_PLACE)
      KEY.each_with_index do |(kind, name), index|
        @svg.rect(left, top + (index * 24), 16, 16, kind, radius: 4)
        @svg.text(left + 26, top + 12 + (index * 24), name, "small")
      end
    end

    def connect(arrow)
      from, to = [arrow.from, arrow.to].map { |name, side| edge(Threads::BOXES.fetch(name), side) }
      points = points_between(from, to)
      @svg.arrow(points, "way")
      @svg.arrow(points.reverse, "way") if arrow.both
      label(arrow.label, points) if arrow.label
    end

    # Returns a straight line if the two edges face each other, and a line with one corner otherwise.
    def points_between(from, to)
      horizontal, vertical = [0, 1].map { |axis| overlap(from[axis], to[axis]) }
      case [level?(from), level?(to)]
      when [true, true] then [[horizontal, from[1].first], [horizontal, to[1].first]]
      when [false, false] then [[from[0].first, vertical], [to[0].first, vertical]]
      else
        corner = [to[0].sum / 2, from[1].sum / 2]
        [[from[0].first, corner[1]], corner, [corner[0], to[1].first]]
      end
    end

    def level?(edge)
      edge[1].uniq.one?
    end

    # Returns the middle of the part that two ranges share.
    def overlap(one, other)
      ([one.min, other.min].max + [one.max, other.max].min) / 2
    end

    def label(text, points)
      (left, top), (right, bottom) = points
      return @svg.text((left + right) / 2, top - 7, text, "faint", anchor: "middle") if top == bottom

      @svg.text(left + 8, ((top + bottom) / 2) + 4, text, "faint")
    end

    # Returns the two x and the two y coordinates of a box's side.
    def edge(box, side)
      left, top, width, height = pixels(box.place)
      right, bottom = [left + width, top + height].map { |place| place + (box.several ? 8 : 0) }
      case side
      when :left then [[left, left], [top, top + height]]
      when :right then [[right, right], [top, top + height]]
      when :top then [[left, left + width], [top, top]]
      when :bottom then [[left, left + width], [bottom, bottom]]
      end
    end
  end
end
