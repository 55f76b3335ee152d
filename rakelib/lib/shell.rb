# frozen_string_literal: true

require "fileutils"
require "open3"

# Commands and files, for the tasks that build packages.
module Shell
  module_function

  # Returns the output of a command. It raises with the output if the command fails.
  def run(*command, **options)
    output, status = Open3.capture2e(*command, **options)
    raise "#{command.grep(String).join(" ")} failed:\n#{output}" unless status.success?

    output
  end

  # Makes an empty folder. Returns its name.
  def fresh(dir)
    FileUtils.rm_rf(dir)
    FileUtils.mkdir_p(dir)
    dir
  end

  # Copies a file, with the folders above its new place.
  def copy(from, to)
    FileUtils.mkdir_p(File.dirname(to))
    FileUtils.cp(from, to)
  end
end
