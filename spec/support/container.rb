# frozen_string_literal: true

require "json"
require "open3"

# A container of the image that `rake container` has unpacked, run by runc: as its own process 1 and user, with its own
# network that has only the loopback, and with a root that is read-only.
class Container
  include ResourceTracking

  attr_reader :pid

  # config:: the image's; files:: their texts, mounted read-only, by their paths in the container
  def initialize(root, config, arguments: config["Cmd"], files: {})
    @dir = Dir.mktmpdir("proxymachine-container")
    @id = File.basename(@dir)
    @config = config
    File.write("#{@dir}/config.json", JSON.generate(specification(root, arguments, files)))
    @runc = Child.new("runc", "--root", "#{@dir}/state", "run", "--bundle", @dir, @id, dir: @dir)
    @pid = Eventually.eventually { @runc.running? && state["pid"].to_i.nonzero? }
    track
  end

  def log = @runc.stdout
  def stderr = @runc.stderr
  def report = "--- container #{@id}:\n#{log}--- its stderr:\n#{stderr}"
  def wait = @runc.wait
  def running? = @runc.running?

  def signal(name)
    runc("kill", @id, name)
  end

  # Runs a command in the container. Returns its output and its status.
  def exec(*command)
    Open3.capture2e("runc", "--root", "#{@dir}/state", "exec", @id, *command)
  end

  # Runs the image's health check.
  def healthy?
    exec(*@config.dig("Healthcheck", "Test").drop(1)).last.success?
  end

  # A connection to a port of the container, from its own network.
  # @return [IO] of a process that copies both ways
  def connect(port)
    program = "s = TCPSocket.new('127.0.0.1', #{port}); t = Thread.new { IO.copy_stream(s, $stdout); exit!(0) };" \
              " IO.copy_stream($stdin, s); s.close_write; t.join"
    IO.popen(["nsenter", "--target", pid.to_s, "--net", RbConfig.ruby, "-rsocket", "-e", program], "r+").tap do |io|
      io.sync = true
    end
  end

  # Sends a text, and returns what comes until the end.
  def ask(port, text)
    connect(port).then do |io|
      io.write(text)
      io.read.tap { io.close }
    end
  end

  def stop
    Open3.capture2e("runc", "--root", "#{@dir}/state", "delete", "--force", @id)
    FileUtils.rm_rf(@dir)
  end

  private

  def state
    output, status = Open3.capture2("runc", "--root", "#{@dir}/state", "state", @id, err: File::NULL)
    status.success? ? JSON.parse(output) : {}
  end

  def runc(*arguments)
    output, status = Open3.capture2e("runc", "--root", "#{@dir}/state", *arguments)
    raise output unless status.success?

    output
  end

  # runc's own default, with the image's user, environment and command.
  def specification(root, arguments, files)
    Dir.chdir(@dir) { runc("spec") }
    spec = JSON.parse(File.read("#{@dir}/config.json"))
    user, group = @config["User"].split(":").map(&:to_i)
    spec["process"].merge!("terminal" => false, "user" => { "uid" => user, "gid" => group }, "env" => @config["Env"],
                           "args" => @config["Entrypoint"] + arguments)
    spec["process"]["capabilities"].transform_values! { [] }
    spec["root"] = { "path" => root, "readonly" => true }
    spec["mounts"] += files.map { |path, text| mount(path, text) }
    spec
  end

  def mount(path, text)
    source = File.join(@dir, File.basename(path))
    File.write(source, text)
    File.chmod(0o644, source)
    File.chmod(0o755, @dir)
    { "destination" => path, "type" => "bind", "source" => source, "options" => %w[bind ro] }
  end
end
