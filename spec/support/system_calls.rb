# frozen_string_literal: true

require "tempfile"

# Counts the system calls of a process with strace.
module SystemCalls
  module_function

  # Whether this process may trace another one.
  def countable?(pid)
    count(pid) { nil }
    true
  rescue Errno::ENOENT, RuntimeError
    false
  end

  # @return [Hash{String=>Integer}] the system calls of the process while the block ran
  def count(pid, &block)
    Tempfile.create("strace") do |file|
      IO.popen(["strace", "-f", "-c", "-U", "calls,name", "-o", file.path, "-p", pid.to_s], err: %i[child out]) do |io|
        attached = io.gets # "Process 1 attached": counting has begun
        raise "cannot trace: #{attached}" unless attached&.include?("attached")

        block.call
        Process.kill("INT", io.pid)
        io.read
      end
      file.each_line.filter_map { |line| line.match(/\A\s*(\d+) ([a-z]\w*)$/)&.captures }
          .to_h { |calls, name| [name, calls.to_i] }.except("total").tap { |counts| counts.default = 0 }
    end
  end
end
