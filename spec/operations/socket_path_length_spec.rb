# frozen_string_literal: true

# A path or name that is longer than a Unix socket's address (unix(7)) has one message, wherever it is written.
RSpec.describe "Too long path of a Unix socket:" do
  path = "unix:/tmp/#{"x" * 103}"
  name = "unix:@#{"x" * 107}"
  reason = "its path is longer than 107 bytes"

  {
    "listen" => ["listen #{path.inspect}\n", []],
    "an abstract name" => ["listen #{name.inspect}\n", []],
    "--bind" => ["", ["--bind", path]],
    "admin" => ["admin #{path.inspect}\n", ["-p", "0"]],
    "--workers" => ["", ["--bind", path, "--workers", "2"]],
    "-t" => ["listen #{path.inspect}\n", ["-t"]],
    "-t with an abstract name" => ["listen #{name.inspect}\n", ["-t"]],
    "-t with admin" => ["admin #{path.inspect}\n", ["-t", "-p", "0"]]
  }.each do |where, (config, arguments)|
    it where do
      child = ProxyProcess.new("#{config}proxy { :close }", args: arguments, log: :none)
      expect(child.wait.exitstatus).to eq 1
      expect(child.stderr).to match(/\Aproxymachine: cannot listen on unix:\S+: #{reason}\n\z/)
    end
  end

  it "a remote" do
    proxy = ScriptedProxy.start
    expect(ask("{ :remote => #{path.inspect} }\n", proxy)).to eq ""
    proxy.await(/ERROR .*#{reason}/)
  end

  it "top" do
    child = Child.new(*ProxyProcess.command, "top", "--once", "--admin", path)
    expect(child.wait.exitstatus).to eq 1
    expect(child.stderr).to end_with "#{path}: #{reason}\n"
  end
end
