# frozen_string_literal: true

# Finds malformed lines in a growing log.
class LogCheck
  LINE = /\A[IWE], \[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6} #\d+\] ( INFO| WARN|ERROR) -- : [[:print:]]*\z/

  def initialize(path)
    @path = path
    @offset = 0
  end

  # Returns the first line since the last call that Logger did not write or that is not printable, or nil.
  def bad_line
    text = File.binread(@path, nil, @offset)
    whole = text[0, (text.rindex("\n") || -1) + 1].force_encoding(Encoding::UTF_8)
    @offset += whole.bytesize
    whole.each_line(chomp: true).find { |line| !line.valid_encoding? || !line.match?(LINE) }
  end
end
