# frozen_string_literal: true

require "open3"

# The commands of docs/recipes.md, run verbatim in a network namespace with the real servers that they route
# to. The exceptions are listed here.
RSpec.describe "Commands in docs/recipes.md:" do
  in_network_namespace

  # The namespace has no name server, and ssh must not prompt.
  words = {
    "http://example.com/" => ->(_) { "http://127.0.0.1/" },
    "ssh -p 4430 127.0.0.1" => lambda do |spec|
      "ssh -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes " \
        "-i #{spec.ssh.dir}/user -p 4430 127.0.0.1"
    end
  }

  running(:nginx) do
    ports = { 80 => "", 8001 => "", 8002 => "", 8444 => "ssl http2", 8445 => "ssl http2" }
    Nginx.new(*ports.keys, ports.transform_keys(&:to_s)).tap(&:ready?)
  end
  running(:shop) do
    PostgresCluster.new(5433).tap(&:ready?).tap { |cluster| Psql.run(cluster.port, "postgres", "CREATE DATABASE shop") }
  end
  running(:redis) { RedisServer.new(6379).tap(&:ready?) }
  running(:ssh) { SshServer.new(22, "hello").tap(&:ready?) }
  running(:git) do
    @base = Dir.mktmpdir("proxymachine-git")
    FileUtils.mkdir_p(File.join(@base, "alice"))
    Git.repository(File.join(@base, "alice", "project.git"), "README" => "of alice\n")
    GitDaemon.new(9419, @base).tap(&:ready?)
  end
  after(:context) { FileUtils.rm_rf(@base) if @base }

  around { |example| Dir.mktmpdir { |dir| (@work = dir) && example.run } }

  # Runs a command in a shell without the user's settings and proxies.
  let(:environment) do
    path = File.join(@work, "bin")
    FileUtils.mkdir_p(path)
    File.write(File.join(path, "proxymachine"), "#!/bin/sh\nexec #{ProxyProcess.command.join(" ")} \"$@\"\n")
    File.chmod(0o755, File.join(path, "proxymachine"))
    { **Curl::ENVIRONMENT, **Git::ENVIRONMENT, **Psql::ENVIRONMENT, "PATH" => "#{path}:#{ENV.fetch("PATH")}" }
  end

  Snippet.of("docs/recipes.md").each do |snippet|
    server, *clients = snippet.text.gsub(/\\\n\s*/, "").lines(chomp: true)

    it "#{server[/proxymachine.*/]}: the client commands have the described results" do
      skip_without_gems(File.read(File.join(ProxyProcess::ROOT, server[/ -c (\S+)/, 1])))
      proxy = Child.new(environment, "sh", "-c", "exec env #{server}", chdir: ProxyProcess::ROOT)
      eventually { !proxy.running? || proxy.stdout.include?("Listening on") }
      clients.each do |client|
        words.each { |those, others| client = client.sub(those) { others[self] } }
        said, status = Open3.capture2e(environment, "sh", "-c", client, stdin_data: "", chdir: @work)
        expect(status).to be_success, "#{client}\n#{said}\n#{proxy.report}"
      end
      served = clients.grep_v(/\Aredis-cli/).size
      eventually { expect(proxy.stdout.scan("Successful connection to").size).to be >= served }
    end
  end
end
