# frozen_string_literal: true

require_relative "pictures/bench_report"
require_relative "pictures/connection_diagram"
require_relative "pictures/costs_chart"
require_relative "pictures/threads_diagram"

# The pictures in docs/images. A spec compares the committed drawings with new ones.
module Pictures
  FOLDER = File.expand_path("../../docs/images", __dir__)

  DIAGRAMS = {
    "threads.svg" => -> { ThreadsDiagram.new.to_s },
    "connection.svg" => -> { ConnectionDiagram.new.to_s }
  }.freeze
  CHARTS = { "costs.svg" => -> { CostsChart.new(BenchReport.newest("traffic")).to_s } }.freeze
  DRAWN = DIAGRAMS.merge(CHARTS).freeze
  SCREENSHOT_WIDTH = 1280
  SCREENSHOTS = %w[status-light.png status-dark.png].freeze

  module_function

  def write(drawn)
    drawn.each { |name, draw| File.write(File.join(FOLDER, name), draw.call) }
  end
end
