# frozen_string_literal: true

require "json"

# The files of the setting `record`.
class Recordings
  attr_reader :path

  def initialize
    @path = File.join(Dir.mktmpdir("proxymachine-spec"), "refused")
  end

  # The complete recordings, the oldest first: the bytes, and what the text beside them says.
  def all
    Dir.glob("#{path}/*.json").sort.filter_map do |file|
      [File.binread(file.sub(/json\z/, "bin")), JSON.parse(File.read(file))]
    rescue JSON::ParserError, Errno::ENOENT
      nil # It is being written, or was just removed.
    end
  end

  # Waits for a number of recordings.
  def await(count)
    Eventually.eventually { all.then { |found| found.size >= count && found } }
  end

  def files
    Dir.children(path)
  end
end
