# frozen_string_literal: true

require "json"
require "open3"
require "shellwords"
require "yaml"

# Every snippet in the documentation is run or parsed by the program that it is for. A snippet of an unknown kind
# fails, so that none is skipped by accident.
RSpec.describe "Snippets in the documentation:" do
  pages = Dir.glob("{*,docs/*,bench/*,.github/*}.md", base: ProxyProcess::ROOT).sort
  snippets = pages.flat_map { |page| Snippet.of(page) }

  kinds = %w[ruby sh console diff json yaml haproxy nginx ini logrotate keepalived] +
          ["ruby program", "ruby rspec", "ruby minitest", "text diagram", "text title", "text access log"]
  methods = kinds.to_h { |kind| [kind, :"try_#{kind.tr(" ", "_")}"] }

  snippets.each do |snippet|
    it "#{snippet} is valid" do
      @dir = Dir.mktmpdir("proxymachine-snippet")
      check = methods[snippet.kind] or raise "unknown kind of snippet; fence it with one of #{kinds.join(", ")}"
      send(check, snippet)
    ensure
      FileUtils.rm_rf(@dir)
    end
  end

  it "systemd can read the units" do
    units = Dir[File.join(ProxyProcess::ROOT, "contrib/*.{service,socket}")]
    expect(units.size).to be >= 2
    expect(succeeds("systemd-analyze", "verify", "--man=no", *units)).to eq ""
  end

  it "the pages are searched for all of them" do
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

  # A config, or a part of one: `proxymachine -t` checks it.
  def try_ruby(snippet)
    skip_without_gems(snippet.text)
    config = ExampleIdentities.existing(snippet.text.gsub("unix:/run/", "unix:#{@dir}/"))
    config += "\nproxy { :close }\n" unless config.match?(/^proxy\b/)
    child = ProxyProcess.new(config, args: ["--check"])
    expect([child.wait.exitstatus, child.stderr]).to eq [0, ""]
  end

  # A change to this tree: it must apply.
  def try_diff(snippet)
    succeeds("git", "apply", "--check", file("example.diff", snippet.text), chdir: ProxyProcess::ROOT)
  end

  # A program that embeds the gem: it must serve, on a free port.
  def try_ruby_program(snippet)
    program = RubyScript.new(snippet.text.sub(/(ProxyMachine\.run\(.*), \d+\)/, '\1, 0)'))
    expect(connect(program)).to be_a Client
  end

  # Tests of a router: they pass with the last config of their page.
  def try_ruby_rspec(snippet)
    file("router.rb", Documentation.configs(Documentation.read(snippet.page)).last)
    FileUtils.mkdir("#{@dir}/refused")
    file("refused/20261130T180703.123456Z-3mv-9ix.bin", "GET /cats HTTP/1.1\r\n\r\n")
    output = succeeds(*ProxyProcess.ruby, "-S", "rspec", file("router_spec.rb", snippet.text), chdir: @dir)
    expect(output).to match(/^[1-9]\d* examples?, 0 failures$/)
  end

  def try_ruby_minitest(snippet)
    file("router.rb", Documentation.configs(Documentation.read(snippet.page)).last)
    output = succeeds(*ProxyProcess.ruby, file("router_test.rb", snippet.text), chdir: @dir)
    expect(output).to match(/^[1-9]\d* runs, [1-9]\d* assertions, 0 failures, 0 errors, 0 skips$/)
  end

  # A shell command: the shell parses it, its programs exist, and proxymachine accepts its flags.
  def try_sh(snippet)
    succeeds("sh", "-n", stdin_data: snippet.text)
    snippet.commands.each do |environment, (program, *arguments)|
      case program
      when "proxymachine" then try_proxymachine(environment, arguments)
      when "rake" then succeeds("rake", "--dry-run", *arguments, chdir: ProxyProcess::ROOT)
      when "curl" then try_curl(arguments)
      when "podman", "docker" then nil # They are on the machines that run containers.
      else expect(Snippet.program?(program) || shell_word?(program)).to be(true), "there is no #{program}"
      end
    end
  end

  # --version only parses the arguments, and newer versions look for the file of --cacert.
  def try_curl(arguments)
    arguments.each_cons(2) { |flag, name| file(File.basename(name), "") if flag == "--cacert" }
    succeeds("curl", *arguments, "--version", chdir: @dir)
  end

  def shell_word?(word)
    system("sh", "-c", "type #{Shellwords.escape(word)}", %i[out err] => File::NULL)
  end

  # --check (for init and top: --help) only parses the arguments.
  def try_proxymachine(environment, arguments)
    index = arguments.index("-c")
    config = index && File.expand_path(arguments[index + 1], ProxyProcess::ROOT)
    arguments[index + 1] = file("config.rb", "proxy { :close }") if index && !File.exist?(config)
    skip_without_gems(config_text(config))
    arguments.map! { |argument| argument.sub("unix:/run/", "unix:#{@dir}/").sub("/var/log/", "#{@dir}/") }
    FileUtils.mkdir_p("#{@dir}/proxymachine")
    words = arguments.reject { |word| word.match?(/\A[\[\]]|\]\z/) }
    look = %w[init top].include?(arguments.first) ? "--help" : "--check"
    succeeds(existing(environment), *ProxyProcess.command, *words, look,
             chdir: ProxyProcess::ROOT)
  end

  def config_text(path)
    path && File.exist?(path) ? File.read(path) : ""
  end

  def existing(environment)
    environment.transform_values { |value| ExampleIdentities.existing(value) }
  end

  # A session: commands after "$", then their output. Two configs exist: a valid one, and one with a mistake in line 12.
  # The first config of the page is router.rb.
  def try_console(snippet)
    Documentation.configs(Documentation.read(snippet.page)).first(1).each { |config| file("router.rb", config) }
    file("config.rb", "#{"\n" * 11}rutes\n")
    file("http.rb", %(proxy { |data| data =~ /\\r\\n\\r\\n/ ? { :remote => "10.0.0.1:80" } : { :noop => true } }\n))
    File.chmod(0o755, file("proxymachine", "#!/bin/sh\nexec #{Shellwords.join(ProxyProcess.command)} \"$@\"\n"))
    environment = { "PATH" => "#{@dir}:#{ENV.fetch("PATH")}" }
    snippet.text.split(/^\$ /).drop(1).each do |session|
      command, expected = session.split("\n", 2)
      command.sub!(/sleep 1\b/, "sleep 5") # On a busy machine, the program takes longer to start than a person to type.
      output, = Open3.capture2e(environment, "sh", "-c", command, chdir: @dir)
      expect(of_any_ruby(output.gsub(@dir, "/etc/proxymachine"))).to eq of_any_ruby(expected)
    end
  end

  # Ruby versions differ in Hash#inspect and in quotation marks.
  def of_any_ruby(text)
    text.gsub(/:(\w+)=>/, '\1: ').tr("`", "'").sub(" for main:Object", " for main")
  end

  # Log lines.
  def try_json(snippet)
    proxy = ScriptedProxy.start("log_format :json")
    ask(ScriptedProxy.route_to(Backends.refusing, retries: 1, retry_delay: 0), proxy)
    real = eventually { proxy.log[/.*Retrying.*\n/] }
    expect(snippet.text.lines.map { |line| JSON.parse(line).keys }).to all eq(JSON.parse(real).keys)
  end

  def try_yaml(snippet)
    kind = YAML.safe_load(snippet.text).keys & %w[scrape_configs groups]
    return if kind.empty? # for Kubernetes: also in contrib/kubernetes.yaml, which has its own spec

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

  # Checked with the interface that it names. Warnings about scripts concern its global part.
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
    File.chmod(0o644, path) # keepalived ignores a writable file
    expect(succeeds("logrotate", "--debug", "--state", "#{@dir}/state", path)).not_to match(/^error/)
  end

  # systemd units.
  def try_ini(snippet)
    succeeds("systemd-analyze", "verify", "--man=no", file("proxymachine.service", snippet.text))
  end

  # A directory listing: its files exist.
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
    proxy = ScriptedProxy.start(%(access_log #{log.inspect}))
    ask(ScriptedProxy.route_to(Backends.once("x")), proxy)
    real = eventually { File.read(log)[/.+\n/] }
    words = ->(line) { line.strip.gsub(/\b(web|[\d.]+:\d+)(?= )/, "x").sub(/\w+-\w+\z/, "id") }
    shape = ->(line) { words[line].gsub(/\d+/, "1") }
    expect(snippet.text.lines.map(&shape)).to all eq(shape[real])
  end
end
