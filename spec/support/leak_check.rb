# frozen_string_literal: true

require_relative "client_helpers"

# Records the descriptors of a server (a ScriptedProxy) and opens a long-lived connection through it. `verify` then
# checks that the connection still works, that no descriptor leaked and that the log has no internal error.
class LeakCheck
  include ClientHelpers
  include RSpec::Matchers
  include Eventually

  FORBIDDEN_OUTPUT = /\.rb:\d+:in |panicked|internal error|backtrace|\[BUG\]/i
  # The engine's pipe pool keeps as many pipes as there were spliced flows at once. An example has only a few.
  POOLED_PIPES = 32

  def initialize(proxy, echo)
    @proxy = proxy
    @request = ScriptedProxy.route_to(echo)
    @listening = listening_sockets
    @long_lived = connect(proxy)
    expect(echoed(@long_lived, @request)).to eq @request
    expect_service
    eventually { expect(descriptors["socket:"]).to eq 2 } # both sides of the long-lived connection
    @descriptors = descriptors
    @pipes = pipes
  end

  def stop
    @long_lived.stop
  end

  def verify
    expect(echoed(@long_lived, "still there?")).to eq "still there?"
    expect_service
    await_only_long_lived
    expect(pipes).to be <= @pipes + POOLED_PIPES
    [@proxy.log, @proxy.stderr].each { |text| expect(text).not_to match FORBIDDEN_OUTPUT }
  end

  # Waits until the server has closed all connections but the long-lived one.
  def await_only_long_lived
    eventually { expect(descriptors).to eq @descriptors }
  end

  private

  # A new connection is served. After it, the server counts only the long-lived connection and the one that asks.
  def expect_service
    short_lived = connect(@proxy)
    expect(echoed(short_lived, @request)).to eq @request
    short_lived.stop
    eventually { expect(ask("{ :close => ProxyMachine.count.to_s }\n", @proxy)).to eq "2" }
  end

  def echoed(client, text)
    client.write(text).read(text.size)
  end

  def pipes
    open_files.count("pipe:")
  end

  # The number of open descriptors by kind, without pipes and listening sockets.
  def descriptors
    (open_files - ["pipe:"]).tally
  end

  def open_files
    Dir.children("/proc/#{@proxy.pid}/fd").filter_map do |number|
      name = File.readlink("/proc/#{@proxy.pid}/fd/#{number}")
      name[/\A(socket:|pipe:|.*)/, 1] unless @listening.include?(name)
    rescue Errno::ENOENT
      nil # closed since the directory was read
    end
  end

  # Read once, because listening sockets do not change and the table is long: after a flood or a soak it has a line for
  # each of a hundred thousand connections in TIME_WAIT.
  def listening_sockets
    lines = %w[tcp tcp6].flat_map { |table| File.readlines("/proc/#{@proxy.pid}/net/#{table}").drop(1) }
    lines.map(&:split).filter_map { |fields| "socket:[#{fields[9]}]" if fields[3] == "0A" }
  end
end
