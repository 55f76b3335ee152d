# frozen_string_literal: true

# A Ruby program of an embedder: it requires the gem and calls its API itself.
class RubyScript < Child
  def initialize(source)
    dir = Dir.mktmpdir("proxymachine-spec")
    path = File.join(dir, "program.rb")
    File.write(path, "$stdout.sync = true\n#{source}")
    super(*ProxyProcess.ruby, path, dir: dir, chdir: dir)
  end

  # What it printed, once it has ended well.
  def self.output(source)
    script = new(source)
    status = script.wait
    raise "failed: #{status.inspect}\n#{script.report}" unless status.success?

    script.stdout
  end

  # The port of the server number `index` that it runs.
  def port(index = 0)
    Eventually.eventually { stdout.scan(/Listening on \S*:(\d+)$/).flatten[index] }.to_i
  end
end
