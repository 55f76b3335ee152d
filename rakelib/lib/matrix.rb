# frozen_string_literal: true

require_relative "debian_folder"

# bin/test on several systems, and what can be said of it afterwards.
module Matrix
  # Beside the machine itself. Debian 13 has the oldest Rust that will do.
  SUITES = %w[trixie sid].freeze
  VERSIONS = <<~'SH'
    . /etc/os-release; echo "$PRETTY_NAME: $(ruby -v | cut -d' ' -f1-2), $(rustc --version | cut -d' ' -f1-2)"
  SH

  # What a run covered. log:: the file with its output, or nil if there was none, because of `obstacle`
  Result = Struct.new(:title, :passed, :log, :obstacle) do
    def summary
      return ["#{title}: not covered: #{obstacle}"] if obstacle

      text = File.read(log, encoding: Encoding::UTF_8).scrub.gsub(/\e\[[\d;]*m/, "")
      ["#{title}: #{passed ? "passed" : "FAILED"}: #{steps(text)}", *failures(text), *left_out(text), "  log: #{log}"]
    end

    private

    def steps(text)
      rust = text.scan(/^test result: \w+\. (\d+) passed/).flatten.sum(&:to_i)
      examples = text.scan(/^(\d+) examples?, (\d+) failures?/).transpose.map { |counts| counts.sum(&:to_i) }
      "#{text.scan(/^== /).size} steps; #{rust} tests of Rust passed; #{examples[0] || 0} examples, " \
        "#{examples[1] || 0} failures"
    end

    def failures(text)
      text.scan(/^(?:Failed:.*|rspec \S+ #.*)/).map { |line| "  #{line}" }
    end

    # Examples that were skipped, each with its reason.
    def left_out(text)
      text.scan(/^  \d+\) (.*)\n\s+# (.*)/).map { |name, reason| "  not covered: #{name}: #{reason}" }
    end
  end

  module_function

  def here
    log = log_of("here")
    title = "this machine, #{IO.popen(["sh", "-c", VERSIONS], &:read).strip}"
    puts "matrix: #{title}; log in #{log}"
    Result.new(title, system("bin/test", in: File::NULL, %i[out err] => log), log)
  end

  def in_folder(suite)
    obstacle = DebianFolder.missing
    return Result.new(suite, nil, nil, obstacle) if obstacle

    folder = DebianFolder.new(suite)
    log = log_of(suite)
    puts "matrix: Debian #{suite} in #{folder.dir}; log in #{log}"
    return Result.new(suite, nil, nil, "debootstrap or apt-get failed in #{folder.dir}") unless folder.make

    folder.bring_sources
    passed = folder.run("bin/test", %i[out err] => log)
    Result.new(folder.output("sh", "-c", VERSIONS).strip, passed, log)
  end

  def report(*results)
    puts "", "The matrix covered:", results.flat_map(&:summary)
    abort "rake matrix: not everything passed" unless results.all?(&:passed)
  end

  def log_of(name)
    File.join(DebianFolder::ROOT, "tmp/matrix", "#{name}.log").tap { |file| FileUtils.mkdir_p(File.dirname(file)) }
  end
end
