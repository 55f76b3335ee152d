# frozen_string_literal: true

require_relative "experimental_folder"
require_relative "test_log"

# Runs bin/test on several systems, and reports the coverage. With RUBY_YJIT_ENABLE=1 in the environment, Ruby compiles
# while it runs, from 3.3 on.
module Matrix
  # The releases beside the machine itself. Debian 13 has the oldest supported Rust, experimental the newest Ruby.
  SUITES = %w[trixie sid experimental].freeze
  VERSIONS = <<~'SH'
    . /etc/os-release
    ruby="$(ruby -v | cut -d' ' -f1-2)$(ruby -v | grep -o ' +YJIT')"
    echo "$PRETTY_NAME: $ruby, $(rustc --version | cut -d' ' -f1-2)"
  SH

  # The coverage of a run. log:: the file with its output, or nil if `obstacle` prevented the run
  Result = Struct.new(:title, :passed, :log, :obstacle) do
    def summary
      return ["#{title}: not covered: #{obstacle}"] if obstacle

      told = TestLog.new(File.read(log, encoding: Encoding::UTF_8))
      ["#{title}: #{passed ? "passed" : "FAILED"}", "  ran: #{told.steps.join("; ")}", "  #{told.counts}",
       *(failures(told) unless passed), *told.left_out.map { |what| "  not covered: #{what}" }, "  log: #{log}"]
    end

    private

    def failures(told)
      told.failed.flat_map { |step| ["  FAILED: #{step.title}", *step.failures.map { |line| "    #{line}" }] }
    end
  end

  module_function

  def here
    log = log_of("here")
    title = "#{sources} on this machine, #{IO.popen(["sh", "-c", VERSIONS], &:read).strip}"
    puts "matrix: #{title}; log in #{log}"
    result(title, system("bin/test", in: File::NULL, %i[out err] => log), log)
  end

  def in_folder(suite)
    obstacle = DebianFolder.missing
    return Result.new(suite, nil, nil, obstacle) if obstacle

    folder = suite == "experimental" ? ExperimentalFolder.new : DebianFolder.new(suite)
    log = log_of(suite)
    puts "matrix: #{sources} on Debian #{suite} in #{folder.dir}; log in #{log}"
    return Result.new(suite, nil, nil, "debootstrap or apt-get failed in #{folder.dir}") unless folder.make

    tested = sources
    folder.bring_sources
    passed = folder.run("bin/test", %i[out err] => log)
    result("#{tested} on #{folder.output("sh", "-c", VERSIONS).strip}", passed, log)
  end

  # Prints the result at once, because the next system takes long.
  def result(*told)
    Result.new(*told).tap { |result| puts "matrix: #{result.passed ? "passed" : "FAILED"}" }
  end

  # Describes the sources. Uncommitted changes are tested, too.
  def sources
    commit, = Open3.capture2("git", "describe", "--always", "--tags", chdir: DebianFolder::ROOT)
    changes, = Open3.capture2("git", "status", "--porcelain", chdir: DebianFolder::ROOT)
    "ProxyMachine #{commit.strip}#{" with changes" unless changes.empty?}"
  end

  def report(*results)
    puts "", "The matrix covered:", results.flat_map(&:summary)
    $stdout.flush # keeps the order if standard error goes to the same file
    abort "rake matrix: not everything passed" unless results.all?(&:passed)
  end

  def log_of(name)
    File.join(DebianFolder::ROOT, "tmp/matrix", "#{name}.log").tap { |file| FileUtils.mkdir_p(File.dirname(file)) }
  end
end
