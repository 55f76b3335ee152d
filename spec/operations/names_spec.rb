# frozen_string_literal: true

require "open3"

# Names of files, addresses and listeners are bytes to the system. The locale does not change what they mean.
RSpec.describe "Names that are not ASCII:" do
  umlauts = "rüdiger"
  invalid = "r\xFCdiger".b

  let(:root) { Dir.mktmpdir("proxymachine-spec") }

  after { FileUtils.rm_rf(root) }

  # Writes a file in a directory of that name and returns its path.
  def write(directory, text, name: "config.rb")
    FileUtils.mkdir_p(File.join(root.b, directory.b))
    File.join(root.b, directory.b, name.b).tap { |path| File.binwrite(path, text) }
  end

  # Returns standard output, standard error and exit status.
  def run(locale, *arguments, chdir: root)
    out, err, status = Open3.capture3({ "LC_ALL" => locale }, *ProxyProcess.command, *arguments, chdir: chdir)
    [out.b, err.b, status.exitstatus]
  end

  %w[C C.UTF-8].each do |locale|
    [umlauts, invalid].each do |name|
      describe "the directory #{name.inspect} under LC_ALL=#{locale}" do
        it "has a config" do
          path = write(name, "proxy { :close }")
          expect(run(locale, "-t", "-h", "127.0.0.1", "-p", "0", "-c", path)).to match [/\Aconfiguration ok$/, "", 0]
        end

        it "is the working directory" do
          path = write(name, "proxy { :close }")
          arguments = ["-t", "-h", "127.0.0.1", "-p", "0", "-c", "config.rb", "--pidfile", "pid"]
          expect(run(locale, *arguments, chdir: File.dirname(path))).to match [/\Aconfiguration ok$/, "", 0]
        end

        {
          "an exception" => ["raise 'größe'", "config.rb:1: größe (RuntimeError)"],
          "an exception of bytes" => ["raise \"gr\\xFC\"", "config.rb:1: gr\uFFFD (RuntimeError)"],
          "an exception in Latin-1" => ["# encoding: iso-8859-1\nraise \"gr\xFC\"".b,
                                        "config.rb:2: grü (RuntimeError)"],
          "an undefined name" => ["größe", "config.rb:1: undefined local variable or method"],
          "a syntax error" => ["größe = (", "config.rb:1"],
          "a missing library" => ["require 'größe'", "config.rb:1: cannot load such file -- größe (LoadError)"]
        }.each do |what, (text, reason)|
          it "has a config with #{what}, which the message shows" do
            out, err, status = run(locale, "-t", "-c", write(name, text))
            expect([out, status]).to eq ["", 1]
            expect(err).to start_with("proxymachine: ").and include reason.b
            expect(err.lines.size).to eq 1
          end
        end

        {
          "a config" => %w[-c NAME], "a pidfile" => %w[--pidfile NAME/pid], "a file" => %w[--route NAME],
          "an access log" => %w[--access-log NAME/log], "a socket" => %w[--bind unix:/NAME/s],
          "an admin's socket" => %w[--admin unix:/NAME/s], "a host" => %w[-h NAME], "a user" => %w[--user NAME],
          "a group" => %w[--group NAME], "a number" => %w[--threads NAME], "an option" => %w[--NAME]
        }.each do |what, arguments|
          it "is named in one message about #{what} that is missing" do
            path = write("ascii", "proxy { :close }")
            _, err, status = run(locale, "-c", path, "-h", "127.0.0.1", "-p", "0",
                                 *arguments.map { |argument| argument.b.gsub("NAME", name.b) })
            expect(status).to be_between(1, 2)
            expect(err).to start_with("proxymachine: ")
            expect(err.scan("\n").size).to be <= 2
            expect(err).not_to match(/:\d+:in /n)
          end
        end
      end
    end
  end

  it "sockets, logs, listeners and reloads have them under LC_ALL=C" do
    path = write(umlauts, <<~RUBY)
      listen "unix:#{root}/#{umlauts}/söcket", :name => "größe"
      access_log "#{root}/#{umlauts}/lög"
      proxy("größe") { |_, client| { :close => client.listener.to_s } }
    RUBY
    proxy = Child.new({ "LC_ALL" => "C" }, *ProxyProcess.command, "-c", path, "--pidfile", "#{umlauts}.pid",
                      chdir: root)
    eventually { proxy.stdout.include?("Send TERM") }
    answer = -> { UNIXSocket.open("#{root}/#{umlauts}/söcket") { |socket| socket.write("x") && socket.read } }
    expect(answer.call.force_encoding("UTF-8")).to eq "größe"
    proxy.signal("HUP")
    eventually { proxy.stdout[/Reloaded .*#{umlauts}.config\.rb.*söcket/] }
    File.write(path, "raise 'größe'")
    proxy.signal("HUP")
    eventually { proxy.stdout[/Cannot reload .*#{umlauts}.config\.rb: .*größe \(RuntimeError\)/] }
    expect(answer.call.force_encoding("UTF-8")).to eq "größe"
    expect(Dir.children(root).map { |name| name.dup.force_encoding("UTF-8") }).to include "#{umlauts}.pid"
    proxy.signal("QUIT")
    expect(proxy.wait).to be_success
    expect(File.size("#{root}/#{umlauts}/lög")).to be_positive
    expect(proxy.stderr).to eq ""
  end

  it "--workers has them under LC_ALL=C, and so has its message" do
    path = write(umlauts, "log_format :json; listen 'unix:#{root}/#{umlauts}/söcket'; proxy { { :close => 'yes' } }")
    proxy = Child.new({ "LC_ALL" => "C" }, *ProxyProcess.command, "-c", path, "--workers", "2")
    eventually { proxy.stdout.include?("Serving with 2 workers") }
    expect(UNIXSocket.open("#{root}/#{umlauts}/söcket") { |socket| socket.write("x") && socket.read }).to eq "yes"
    File.write(path, "raise 'größe'")
    proxy.signal("HUP")
    eventually { proxy.stdout[/Cannot reload .*#{umlauts}.config\.rb: .*größe/] }
    proxy.signal("QUIT")
    expect(proxy.wait).to be_success
  end
end
