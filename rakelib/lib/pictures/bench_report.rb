# frozen_string_literal: true

module Pictures
  # Reads a committed report of bench/run: Markdown with a table for each work.
  class BenchReport
    Ratio = Struct.new(:median, :least, :greatest)

    # The last cell of a peer's row, such as "0.97 (0.90–1.01)": the cost of this tree divided by the peer's cost.
    RATIO = /\A([\d.]+) \(([\d.]+)–([\d.]+)\)\z/

    attr_reader :name

    # Returns the newest report of a kind, such as "traffic".
    def self.newest(kind)
      new(Dir[File.expand_path("../../../bench/reports/*-#{kind}.md", __dir__)].max)
    end

    def initialize(path)
      @name = File.basename(path)
      @text = File.read(path, encoding: Encoding::UTF_8)
    end

    # Returns a fact from the head of the report, such as "kernel".
    def fact(name)
      @text[/^- #{Regexp.escape(name)}: (.*)$/, 1] or raise KeyError, "#{@name} has no #{name}"
    end

    def version(peer)
      fact("versions")[/(?:\A|, )#{Regexp.escape(peer)} ([^,]+)/, 1]
    end

    # @return [Ratio, nil] nil if the peer took no part in this work
    def ratio(work, peer)
      cells = rows(work).find { |row| row.first == peer } or return
      median, least, greatest = cells.last.match(RATIO).captures.map(&:to_f)
      Ratio.new(median, least, greatest)
    end

    private

    def rows(work)
      section = @text[/^### #{Regexp.escape(work)}: .*?(?=^### |\z)/m] or raise KeyError, "#{@name} has no #{work}"
      section.scan(/^\| (.*) \|$/).flatten.map { |row| row.split(" | ").map(&:strip) }
    end
  end
end
