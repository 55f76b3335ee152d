# frozen_string_literal: true

require "json"

# The real executable with a config file, on a port of the loopback that the system chooses. PROXYMACHINE_BIN names
# another executable to test, say that of an installed gem.
class ProxyProcess < Child
  ROOT = File.expand_path("../..", __dir__)
  LINE = /^[A-Z], \[[^\]]*\]\s+([A-Z]+) -- [^:]*: (.*)$/

  attr_reader :port, :config_path

  class << self
    def command
      return [ENV["PROXYMACHINE_BIN"]] if ENV["PROXYMACHINE_BIN"]

      [*ruby, File.join(ROOT, "exe", "proxymachine")]
    end

    # A Ruby in which `require "proxymachine"` finds what is tested.
    def ruby
      return [RbConfig.ruby] if ENV["PROXYMACHINE_BIN"]

      [RbConfig.ruby, "-I", File.join(ROOT, "lib"), *preloaded]
    end

    # What `rake stress` and `rake types` have each server load first.
    def preloaded
      ENV["PROXYMACHINE_PRELOAD"] ? ["-r", File.join(ROOT, "spec", ENV["PROXYMACHINE_PRELOAD"])] : []
    end

    # Starts it, and returns once it listens. LOG_FILE in a config becomes the name of a file beside that config.
    # `log: :file` says that the log is there and not on the standard output, `log: :terse` that it lacks the INFO
    # lines, `log: :none` that there is none.
    def start(config, **options)
      new(config, **options).await_listening
    end
  end

  # `program` is another one than the specs are about; `through` is a command that runs the rest of its command line.
  def initialize(config, name: "config.rb", args: ["-h", "127.0.0.1", "-p", "0"], log: :stdout, env: {}, through: [],
                 program: self.class.command, **options)
    dir = Dir.mktmpdir("proxymachine-spec")
    @log = log
    @config_path = File.join(dir, name)
    File.write(@config_path, config.gsub("LOG_FILE", File.join(dir, "log").inspect))
    super(env, *through, *program, "-c", @config_path, *args, dir: dir, **options)
  end

  def await_listening
    @port = Eventually.eventually do
      raise "ended instead of listening: #{wait.inspect}\n#{report}" unless running?

      announced? ? log[/Listening on [^\s"]*:(\d+)(?=["\n])/, 1] : title[/:([1-9]\d*) - \d/, 1]
    end.to_i
    @host = log[/Listening on \[?(\S*:\S*?)\]?:\d+$/, 1] || "127.0.0.1" # an IPv6 address has colons
    self
  end

  def mark
    settle if announced?
    super
  end

  # The lines logged since the running example began, as "LEVEL text", but one that is just being written.
  def lines
    whole = recent_log.lines.select { |line| line.end_with?("\n") }
    whole.filter_map { |line| line.start_with?("{") ? json(line) : line[LINE] && "#{$1} #{$2}" }
  end

  # The first line that is, or matches, the pattern, as soon as it is logged.
  def await(pattern)
    Eventually.eventually { lines.grep(pattern).first }
  rescue StandardError
    raise "never logged: #{pattern.inspect}"
  end

  def signal(name)
    @ending ||= %w[QUIT TERM INT].include?(name)
    super
  end

  # The log is written beside the traffic and not before it. Lines come in order, though: once a connection made now is
  # in the log, so is all that went before. One that was told to end takes no connection any more.
  def settle
    return self if @ending || !running?

    knock = Socket.tcp(@host, port)
    await("INFO Accepted #{knock.local_address.ip_unpack.join(":")}")
    self
  ensure
    knock&.close
  end

  # What was logged up to now, without anything still to come.
  def settled_log
    settle.recent_log
  end

  def errors
    settle.lines.grep(/\AERROR /)
  end

  # The name that the system's tools show for the process.
  def title
    File.read("/proc/#{pid}/cmdline").tr("\0", " ").strip
  rescue SystemCallError
    ""
  end

  # The current connections, as the title shows them.
  def connections
    title[%r{ - (\d+)/\d+/\d+ cur/max/tot conns}, 1]&.to_i
  end

  def open_sockets
    Dir.children("/proc/#{pid}/fd").count { |number| ForeignSockets.socket?(pid, number) }
  end

  def resident_bytes
    File.read("/proc/#{pid}/status")[/^VmRSS:\s+(\d+) kB/, 1].to_i * 1024
  end

  private

  def log_file
    case @log
    when :none then nil
    when :file then File.join(dir, "log")
    else super
    end
  end

  # The log tells when it listens, and whom it accepts.
  def announced?
    %i[stdout file].include?(@log)
  end

  # With log_format json.
  def json(line)
    JSON.parse(line).values_at("level", "message").join(" ")
  rescue JSON::ParserError
    nil # Something that a config prints.
  end
end
