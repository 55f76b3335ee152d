# frozen_string_literal: true

# An embedder's Ruby program: it requires the gem and calls its API.
class RubyScript < Child
  def initialize(source)
    dir = Dir.mktmpdir("proxymachine-spec")
    path = File.join(dir, "program.rb")
    File.write(path, "$stdout.sync = true\n#{source}")
    super(*ProxyProcess.ruby, path, dir: dir, chdir: dir)
  end

  # Runs the program to its end and returns its output; raises if it fails. The program may compute for a while.
  def self.output(source)
    script = new(source)
    status = script.wait(within: 8 * Eventually::DEADLINE)
    raise "failed: #{status.inspect}\n#{script.report}" unless status.success?

    script.stdout
  end

  # The port of server number `index` of the program.
  def port(index = 0)
    Eventually.eventually { stdout.scan(/Listening on \S*:(\d+)$/).flatten[index] }.to_i
  end
end
