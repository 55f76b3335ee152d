# frozen_string_literal: true

require "open3"

# The real git, without its user's configuration.
module Git
  ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM" => "1", "GIT_CONFIG_GLOBAL" => File::NULL, "GIT_TERMINAL_PROMPT" => "0",
    "GIT_AUTHOR_NAME" => "Spec", "GIT_AUTHOR_EMAIL" => "spec@example.com",
    "GIT_COMMITTER_NAME" => "Spec", "GIT_COMMITTER_EMAIL" => "spec@example.com"
  }.freeze

  class Failure < StandardError; end

  module_function

  def run(*arguments, in_dir: Dir.tmpdir)
    output, status = Open3.capture2e(ENVIRONMENT, "git", "-c", "core.compression=0", *arguments, chdir: in_dir)
    raise Failure, "git #{arguments.join(" ")}: #{output}" unless status.success?

    output
  end

  # Creates a bare repository at `path` with one commit of the given files.
  def repository(path, files)
    Dir.mktmpdir do |work|
      run("init", "--quiet", "--initial-branch=main", work)
      commit(work, files)
      run("clone", "--quiet", "--bare", work, path)
    end
  end

  def commit(work, files)
    files.each { |name, content| File.binwrite(File.join(work, name), content) }
    run("add", ".", in_dir: work)
    run("commit", "--quiet", "--message=files", in_dir: work)
  end
end
