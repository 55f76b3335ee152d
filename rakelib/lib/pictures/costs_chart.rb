# frozen_string_literal: true

require_relative "bench_report"
require_relative "svg"

module Pictures
  # Draws the costs of this tree as parts of the costs of other proxies: a row for each work, a column for each proxy.
  class CostsChart
    PEERS = { "haproxy" => "HAProxy", "haproxy-splice" => "HAProxy, splice", "nginx" => "nginx",
              "1.2.4" => "ProxyMachine 1.2.4" }.freeze

    WORKS = {
      "Short connections: CPU time" => {
        "short-4" => "4 clients", "short-32" => "32 clients", "short-256" => "256 clients",
        "short-1000" => "1,000 clients"
      },
      "64-byte messages: CPU time" => { "message-1" => "1 connection", "message-64" => "64 connections" },
      "Bulk: CPU time per MiB" => {
        "bulk-down-1" => "to the client, 1 connection", "bulk-down-8" => "to the client, 8 connections",
        "bulk-up-1" => "to the server, 1 connection", "bulk-up-8" => "to the server, 8 connections"
      },
      "Memory" => { "idle-memory" => "an idle connection, of 4,000" }
    }.freeze

    TITLE = "Costs of ProxyMachine 2.0, compared with other proxies"
    RULES = <<~CSS
      .track { fill: $track; }
      .bar { fill: $accent; }
      .over { fill: $warn; }
      .spread { stroke: $text; stroke-width: 1.5; stroke-opacity: 0.55; }
      .one { stroke: $faint; }
      .value { font-weight: 600; font-variant-numeric: tabular-nums; }
      .key { font-size: 13px; fill: $faint; }
    CSS

    MARGIN = 24
    LABELS = 232
    COLUMN = 172
    UNIT = 88 # Width of the ratio 1.00.
    ROW = 26
    BAR = 12
    HEAD = 128
    WIDTH = MARGIN + LABELS + (PEERS.size * COLUMN) + 10

    def initialize(report)
      @report = report
      @svg = SVG.new(title: TITLE, description: description, rules: RULES)
    end

    def to_s
      key
      PEERS.each_with_index { |(peer, name), index| column_head(column(index), peer, name) }
      top = WORKS.reduce(HEAD) { |height, (group, works)| draw_group(height, group, works) }
      footer(top + 20)
      @svg.document(WIDTH, top + 58)
    end

    private

    def description
      rows = WORKS.flat_map do |group, works|
        works.map do |work, label|
          ratios = PEERS.filter_map do |peer, name|
            (ratio = @report.ratio(work, peer)) && "#{two(ratio.median)} of #{name}"
          end
          "#{group}, #{label}: #{ratios.join(", ")}."
        end
      end
      rows.join(" ")
    end

    def key
      @svg.text(MARGIN, 38, TITLE, "title")
      @svg.text(MARGIN, 62, "Gray track: the cost of the other proxy, 1.00. Bar: the cost of ProxyMachine; " \
                            "shorter is cheaper. Thin line: least to greatest.", "key")
    end

    def column(index)
      MARGIN + LABELS + (index * COLUMN)
    end

    def column_head(left, peer, name)
      @svg.text(left, 92, name, "heading")
      version = @report.version(peer)&.[](/\A[\d.]+/)
      @svg.text(left, 108, version, "faint") if version && !name.include?(version)
    end

    # @return [Integer] where the next group begins
    def draw_group(top, group, works)
      @svg.rect(MARGIN - 10, top - 5, WIDTH - (2 * MARGIN) + 20, ROW + (works.size * ROW) + 6, "card", radius: 8)
      @svg.text(MARGIN, top + 15, group, "heading")
      works.each_with_index do |(work, label), index|
        middle = top + ((index + 1.5) * ROW) - 2
        @svg.text(MARGIN, middle + 4.5, label, "label")
        PEERS.each_key.with_index { |peer, place| cell(column(place), middle, @report.ratio(work, peer)) }
      end
      top + ((works.size + 1) * ROW) + 12
    end

    def cell(left, middle, ratio)
      return @svg.text(left, middle + 4.5, "–", "faint") unless ratio

      @svg.rect(left, middle - (BAR / 2), UNIT, BAR, "track", radius: 2)
      length = [ratio.median * UNIT, 2].max
      @svg.rect(left, middle - (BAR / 2), length, BAR, ratio.median > 1 ? "over" : "bar", radius: 2)
      @svg.line([left + UNIT, middle - 9], [left + UNIT, middle + 9], "one")
      ends = [ratio.least, ratio.greatest].map { |value| [left + (value * UNIT), middle] }
      @svg.line(*ends, "spread")
      @svg.text(left + COLUMN - 16, middle + 4.5, two(ratio.median), "value", anchor: "end")
    end

    def footer(top)
      machine = "#{@report.fact("processor")}, Linux #{@report.fact("kernel")[/\A\d+\.\d+/]}"
      @svg.text(MARGIN, top, "Medians of the ratios within one round, each proxy on one processor; #{machine}. " \
                             "Source: bench/reports/#{@report.name}", "faint")
      @svg.text(MARGIN, top + 18, "Orange: ProxyMachine costs more. –: the report has no figure.", "faint")
    end

    def two(value)
      format("%.2f", value)
    end
  end
end
