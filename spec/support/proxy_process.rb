# frozen_string_literal: true

require "json"

# The real executable with a config file, on a free loopback port. PROXYMACHINE_BIN names another executable to test,
# for example that of an installed gem.
class ProxyProcess < Child
  ROOT = File.expand_path("../..", __dir__)
  LINE = /^[A-Z], \[[^\]]*\]\s+([A-Z]+) -- [^:]*: (.*)$/

  attr_reader :port, :config_path

  class << self
    def command
      return [ENV["PROXYMACHINE_BIN"]] if ENV["PROXYMACHINE_BIN"]

      [*ruby, File.join(ROOT, "exe", "proxymachine")]
    end

    # A Ruby in which `require "proxymachine"` loads the library under test.
    def ruby
      return [RbConfig.ruby] if ENV["PROXYMACHINE_BIN"]

      [RbConfig.ruby, "-I", File.join(ROOT, "lib"), *preloaded]
    end

    # The file that each server loads first under `rake stress` and `rake types`.
    def preloaded
      ENV["PROXYMACHINE_PRELOAD"] ? ["-r", File.join(ROOT, "spec", ENV["PROXYMACHINE_PRELOAD"])] : []
    end

    # Starts the proxy and returns when it listens. LOG_FILE in a config becomes the name of a file beside the config.
    # `log: :file` declares that the log is in LOG_FILE instead of the standard output, `log: :terse` that it has no
    # INFO lines, `log: :none` that there is no log.
    def start(config, **options)
      new(config, **options).await_listening
    end
  end

  # `program` replaces the executable under test; `through` is a command that runs the rest of its command line.
  def initialize(config, name: "config.rb", args: ["-h", "127.0.0.1", "-p", "0"], workers: 1, log: :stdout, env: {},
                 through: [], program: self.class.command, **options)
    dir = Dir.mktmpdir("proxymachine-spec")
    @log = log
    @config_path = File.join(dir, name)
    File.write(@config_path, config.gsub("LOG_FILE", File.join(dir, "log").inspect))
    args += ["--workers", workers.to_s] if workers > 1
    super(env, *through, *program, "-c", @config_path, *args, dir: dir, **options)
  end

  def await_listening
    @port = Eventually.eventually do
      raise "ended instead of listening: #{wait.inspect}\n#{report}" unless running?

      listening_port
    end.to_i
    @host = log[/Listening on \[?(\S*:\S*?)\]?:\d+\.?$/, 1] || "127.0.0.1" # an IPv6 address has colons
    self
  end

  def mark_log
    settle if announced?
    super
  end

  # The complete lines logged since the example began, as "LEVEL text".
  def lines
    whole = recent_log.lines.select { |line| line.end_with?("\n") }
    whole.filter_map { |line| line.start_with?("{") ? json(line) : line[LINE] && "#{$1} #{$2}" }
  end

  # Waits for a line that equals or matches the pattern, and returns it.
  def await(pattern)
    Eventually.eventually { lines.grep(pattern).first }
  rescue StandardError
    raise "never logged: #{pattern.inspect}"
  end

  def signal(name)
    @shutting_down ||= %w[QUIT TERM INT].include?(name)
    super
  end

  # Waits until the log is complete up to now. The server writes its log asynchronously but in order, so that the line
  # of a new connection comes after all lines of earlier events. A server that is shutting down accepts no connection.
  def settle
    return self if @shutting_down || !running?

    probe = Socket.tcp(@host, port)
    await("INFO Accepted #{probe.local_address.ip_unpack.join(":")}")
    self
  ensure
    probe&.close
  end

  # The complete log up to now.
  def settled_log
    settle.recent_log
  end

  def errors
    settle.lines.grep(/\AERROR /)
  end

  # The process title that ps shows.
  def title
    ProcessTitles.of(pid)
  end

  # The number of current connections in the title.
  def connections
    title[%r{ - (\d+)/\d+/\d+ cur/max/tot conns}, 1]&.to_i
  end

  def open_sockets
    ForeignSockets.count(pid)
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

  # Whether the log has the lines "Listening on" and "Accepted".
  def announced?
    %i[stdout file].include?(@log)
  end

  # The port once the server serves; where it neither logs nor shows its title, once it has bound the port.
  def listening_port
    return log[/Listening on [^\s"]*:(\d+)(?=\.?["\n])/, 1] if announced?

    ProcessTitles.missing ? ForeignSockets.listening_port(pid) : title[/:([1-9]\d*) - \d/, 1]
  end

  # Parses a line of `log_format :json`.
  def json(line)
    JSON.parse(line).values_at("level", "message").join(" ")
  rescue JSON::ParserError
    nil # printed by the config itself
  end
end
