# frozen_string_literal: true

module Pictures
  # Builds an SVG document that follows the reader's color scheme.
  class SVG
    FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, 'DejaVu Sans', sans-serif"

    # Light and dark variant of each color, in the palette of the status page.
    COLORS = {
      "ground" => %w[#f4f5f8 #0d1017], "card" => %w[#ffffff #151a24], "line" => %w[#d5dae3 #2b3342],
      "text" => %w[#171b26 #e7eaf1], "faint" => %w[#5b6478 #97a1b6], "track" => %w[#e3e6ec #2b3342],
      "accent" => %w[#4f46e5 #8f8bff], "wash" => %w[#ecebfc #26264a], "good" => %w[#067647 #5fd39a],
      "goodwash" => %w[#dcf5e6 #10301f], "warn" => %w[#b45309 #f3b65c], "warnwash" => %w[#fdeed3 #37270e],
      "bad" => %w[#c4261d #ff867c], "badwash" => %w[#fde4e2 #3c1715]
    }.freeze

    RULES = <<~CSS.freeze
      text { font: 13px #{FONT}; fill: $text; }
      .ground { fill: $ground; }
      .card { fill: $card; stroke: $line; }
      .title { font-size: 18px; font-weight: 650; }
      .heading { font-weight: 600; }
      .faint { font-size: 12px; fill: $faint; }
    CSS

    # Average width of a character of DejaVu Sans, the widest font of the list, in parts of the font size.
    CHARACTER = 0.56

    # Returns an estimate of a text's width in pixels.
    def self.width(text, size = 13)
      (text.length * size * CHARACTER).ceil
    end

    # Breaks a text into lines of at most so many pixels.
    def self.wrap(text, width, size = 13)
      text.split.each_with_object([]) do |word, lines|
        longer = [lines.last, word].compact.join(" ")
        lines.last && width(longer, size) <= width ? lines[-1] = longer : lines << word
      end
    end

    def self.escape(text)
      text.to_s.gsub("&", "&amp;").gsub("<", "&lt;").gsub(">", "&gt;").gsub('"', "&quot;")
    end

    # Screen readers read `title` and `description`. `rules` is CSS in which `$name` stands for a color.
    def initialize(title:, description:, rules: "")
      @title = title
      @description = description
      @rules = RULES + rules
      @elements = []
    end

    def rect(left, top, width, height, kind, radius: 0)
      element("rect", x: left, y: top, width: width, height: height, rx: radius, class: kind)
    end

    def text(left, top, text, kind = nil, anchor: nil)
      element("text", { x: left, y: top, class: kind, "text-anchor": anchor }, text)
    end

    def line(from, to, kind)
      element("line", x1: from[0], y1: from[1], x2: to[0], y2: to[1], class: kind)
    end

    # Draws a line through the points, with an arrowhead at the last one.
    def arrow(points, kind)
      element("polyline", points: points.map do |point|
                                    point.join(",")
                                  end.join(" "), class: kind, "marker-end": "url(#head)")
    end

    def document(width, height)
      <<~XML
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 #{width} #{height}" width="#{width}" height="#{height}" role="img" aria-labelledby="title description">
        <title id="title">#{SVG.escape(@title)}</title>
        <desc id="description">#{SVG.escape(@description)}</desc>
        <style>
        #{style.chomp}
        </style>
        <defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto-start-reverse"><path class="head" d="M0 0.5 8 4 0 7.5z"/></marker></defs>
        <rect class="ground" width="#{width}" height="#{height}" rx="12"/>
        #{@elements.join("\n")}
        </svg>
      XML
    end

    private

    def element(name, attributes, content = nil)
      written = attributes.compact.map { |key, value| %( #{key}="#{SVG.escape(number(value))}") }.join
      @elements << (content ? "<#{name}#{written}>#{SVG.escape(content)}</#{name}>" : "<#{name}#{written}/>")
    end

    # Rounds to tenths of a pixel, so that the file does not depend on the machine's arithmetic.
    def number(value)
      value.is_a?(Float) ? value.round(1).to_s.delete_suffix(".0") : value
    end

    # Puts the media query last, so that its rules win.
    def style
      light, dark = [0, 1].map { |scheme| @rules.gsub(/\$(\w+)/) { COLORS.fetch($1)[scheme] } }
      colors = dark.lines(chomp: true).filter_map { |rule| colors_of(rule) }
      "#{light}@media (prefers-color-scheme: dark) {\n#{colors.join("\n")}\n}\n"
    end

    def colors_of(rule)
      selector, body = rule.match(/\A(.*) \{ (.*) \}\z/)&.captures
      kept = body.to_s.scan(/(?:fill|stroke): #\h+;/)
      "#{selector} { #{kept.join(" ")} }" if kept.any?
    end
  end
end
