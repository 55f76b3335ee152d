# frozen_string_literal: true

require "json"
require "open3"
require "shellwords"
require "yaml"

# Everything that the documentation shows is tried, by whoever it is written for. What is of no kind that is known here
# fails: nothing stays untried by accident.
RSpec.describe "The documentation" do
  pages = Dir.glob("{*,docs/*,bench/*,.github/*}.md", base: ProxyProcess::ROOT).sort
  snippets = pages.flat_map { |page| Snippet.of(page) }

  kinds = %w[ruby sh console json yaml haproxy nginx ini logrotate keepalived] +
          ["ruby program", "text diagram", "text title", "text access log"]
  methods = kinds.to_h { |kind| [kind, :"try_#{kind.tr(" ", "_")}"] }

  snippets.each do |snippet|
    it "shows at #{snippet} what holds" do
      @dir = Dir.mktmpdir("proxymachine-snippet")
      way = methods[snippet.kind] or raise "of what kind is this? Fence it with one of #{kinds.join(", ")}"
      send(way, snippet)
    ensure
      FileUtils.rm_rf(@dir)
    end
  end

  it "brings units that systemd can read" do
    units = Dir[File.join(ProxyProcess::ROOT, "contrib/*.{service,socket}")]
    expect(units.size).to be >= 2
    expect(succeeds("systemd-analyze", "verify", "--man=no", *units)).to eq ""
  end

  it "is looked through for them" do
    expect(snippets.group_by(&:kind).transform_values(&:size)).to include("ruby" => be > 15, "sh" => be > 15)
  end

  def succeeds(*command, **options)
    output, status = Open3.capture2e(*command, **options)
    expect(status).to be_success, "#{command.join(" ")}\n#{output}"
    output
  end

  def file(name, text)
    File.join(@dir, name).tap { |path| File.write(path, text) }
  end

  # A config, or a part of one: the program itself checks it.
  def try_ruby(snippet)
    config = snippet.text.gsub("unix:/run/", "unix:#{@dir}/")
    config += "\nproxy { :close }\n" unless config.match?(/^proxy\b/)
    child = ProxyProcess.new(config, args: ["--check"])
    expect([child.wait.exitstatus, child.stderr]).to eq [0, ""]
  end

  # What embeds the gem: it serves, on a port of the system's choice.
  def try_ruby_program(snippet)
    program = RubyScript.new(snippet.text.sub(/(ProxyMachine\.run\(.*), \d+\)/, '\1, 0)'))
    expect(connect(program)).to be_a Client
  end

  # The shell can read it, its programs exist, and ours takes its flags.
  def try_sh(snippet)
    succeeds("sh", "-n", stdin_data: snippet.text)
    snippet.commands.each do |environment, (program, *arguments)|
      case program
      when "proxymachine" then try_proxymachine(environment, arguments)
      when "rake" then succeeds("rake", "--dry-run", *arguments, chdir: ProxyProcess::ROOT)
      when "curl" then succeeds("curl", *arguments, "--version")
      else expect(Snippet.program?(program) || shell_word?(program)).to be(true), "there is no #{program}"
      end
    end
  end

  def shell_word?(word)
    system("sh", "-c", "type #{Shellwords.escape(word)}", %i[out err] => File::NULL)
  end

  # With --check (top: --help) it does nothing but look at what it is told.
  def try_proxymachine(environment, arguments)
    index = arguments.index("-c")
    config = index && File.expand_path(arguments[index + 1], ProxyProcess::ROOT)
    arguments[index + 1] = file("config.rb", "proxy { :close }") if index && !File.exist?(config)
    arguments.map! { |argument| argument.sub("unix:/run/", "unix:#{@dir}/").sub("/var/log/", "#{@dir}/") }
    FileUtils.mkdir_p("#{@dir}/proxymachine")
    look = arguments.first == "top" ? "--help" : "--check"
    succeeds(environment, *ProxyProcess.command, *arguments.reject { |word| word.match?(/\A[\[\]]|\]\z/) }, look,
             chdir: ProxyProcess::ROOT)
  end

  # After a $ what is typed, then what comes of it. Two configs are there: one to try, and one with a slip in line 12.
  def try_console(snippet)
    file("config.rb", "#{"\n" * 11}rutes\n")
    file("http.rb", %(proxy { |data| data =~ /\\r\\n\\r\\n/ ? { :remote => "10.0.0.1:80" } : { :noop => true } }\n))
    File.chmod(0o755, file("proxymachine", "#!/bin/sh\nexec #{Shellwords.join(ProxyProcess.command)} \"$@\"\n"))
    environment = { "PATH" => "#{@dir}:#{ENV.fetch("PATH")}" }
    snippet.text.split(/^\$ /).drop(1).each do |session|
      command, expected = session.split("\n", 2)
      output, = Open3.capture2e(environment, "sh", "-c", command, chdir: @dir)
      expect(of_any_ruby(output.gsub(@dir, "/etc/proxymachine"))).to eq of_any_ruby(expected)
    end
  end

  # Rubies differ in how they show a Hash, and in how they quote.
  def of_any_ruby(text)
    text.gsub(/:(\w+)=>/, '\1: ').tr("`", "'").sub(" for main:Object", " for main")
  end

  # Lines of the log.
  def try_json(snippet)
    proxy = Puppet.start("log_format :json")
    ask(Puppet.to(Backends.refusing, retries: 1, retry_delay: 0), proxy)
    real = eventually { proxy.log[/.*Retrying.*\n/] }
    expect(snippet.text.lines.map { |line| JSON.parse(line).keys }).to all eq(JSON.parse(real).keys)
  end

  def try_yaml(snippet)
    kind = YAML.safe_load(snippet.text).keys & %w[scrape_configs groups]
    return if kind.empty? # of Kubernetes, and what is in it is in contrib/kubernetes.yaml, too: see its spec

    what = { "scrape_configs" => "config", "groups" => "rules" }.fetch(kind.first)
    succeeds("promtool", "check", what, file("prometheus.yml", snippet.text))
  end

  def try_haproxy(snippet)
    text = "#{Haproxy::DEFAULTS}  mode tcp\n#{snippet.text}"
    backend = text[/^backend (\S+)/, 1]
    text += "frontend spec\n  bind 127.0.0.1:1\n  default_backend #{backend}\n" unless text.match?(/^(frontend|listen)/)
    expect(succeeds("haproxy", "-c", "-f", file("haproxy.cfg", text))).not_to match(/WARNING|ALERT/)
  end

  def try_nginx(snippet)
    path = file("nginx.conf", "pid #{@dir}/pid;\nevents {}\n#{snippet.text}")
    succeeds("nginx", "-t", "-p", @dir, "-e", "#{@dir}/log", "-c", path)
  end

  # Where there is the interface that it names. What it says of scripts is about its global part.
  def try_keepalived(snippet)
    missing = NetworkNamespace.missing and skip missing
    interface = snippet.text[/interface (\w+)/, 1]
    output, = Open3.capture2e("unshare", "--net", "sh", "-c", <<~SH, "sh", file("keepalived.conf", snippet.text))
      ip link add #{interface} type veth peer name other && ip link set #{interface} up || exit
      keepalived --config-test --use-file "$1" && echo good
    SH
    expect(output.lines.grep_v(/script_security not enabled/) - ["good\n"]).to be_empty
  end

  def try_logrotate(snippet)
    file("access.log", "")
    path = file("logrotate.conf", snippet.text.gsub(%r{/var/log/\w+}, @dir))
    File.chmod(0o644, path) # or it would be ignored
    expect(succeeds("logrotate", "--debug", "--state", "#{@dir}/state", path)).not_to match(/^error/)
  end

  # Of systemd.
  def try_ini(snippet)
    succeeds("systemd-analyze", "verify", "--man=no", file("proxymachine.service", snippet.text))
  end

  # Says what is where; the files in it are.
  def try_text_diagram(snippet)
    expect(snippet.text.scan(%r{[\w/]+\.(?:rb|rs)\b}).reject { |name| File.exist?(name) }).to be_empty
  end

  def try_text_title(snippet)
    proxy = ProxyProcess.start("proxy { :close }")
    shape = ->(text) { text.strip.gsub(/\d+(\.\d+)*|(?<=- )\w+(?= )/, "x") }
    expect(shape[snippet.text].sub("x:x", "x")).to eq shape[proxy.title].sub("x:x", "x")
  end

  def try_text_access_log(snippet)
    log = "#{@dir}/access.log"
    proxy = Puppet.start(%(access_log #{log.inspect}))
    ask(Puppet.to(Backends.once("x")), proxy)
    real = eventually { File.read(log)[/.+\n/] }
    shape = ->(line) { line.strip.gsub(/\b(web|[\d.]+:\d+)(?= )/, "x").gsub(/\d+/, "1") }
    expect(snippet.text.lines.map(&shape)).to all eq(shape[real])
  end
end
