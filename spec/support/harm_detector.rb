# frozen_string_literal: true

require_relative "talking"

# A server (a Puppet), what it held before anything happened to it, and a connection that must outlive it all.
class HarmDetector
  include Talking
  include RSpec::Matchers
  include Eventually

  NEVER = /\.rb:\d+:in |panicked|internal error|backtrace|\[BUG\]/i
  # The relay's pool keeps as many pipes as there were bulky flows at once, which in an example are a few.
  POOLED_PIPES = 32

  def initialize(proxy, echo)
    @proxy = proxy
    @request = Puppet.to(echo)
    @listening = listening_sockets
    @standing = connect(proxy)
    expect(echoed(@standing, @request)).to eq @request
    expect_service
    eventually { expect(descriptors["socket:"]).to eq 2 } # the standing one's
    @descriptors = descriptors
    @pipes = pipes
  end

  def stop
    @standing.stop
  end

  def expect_none
    expect(echoed(@standing, "still there?")).to eq "still there?"
    expect_service
    eventually { expect(descriptors).to eq @descriptors }
    expect(pipes).to be <= @pipes + POOLED_PIPES
    [@proxy.log, @proxy.stderr].each { |text| expect(text).not_to match NEVER }
  end

  private

  # A plain connection is served, and when it is gone, only the standing one and the one that asks are counted.
  def expect_service
    visitor = connect(@proxy)
    expect(echoed(visitor, @request)).to eq @request
    visitor.stop
    eventually { expect(ask("{ :close => ProxyMachine.count.to_s }\n", @proxy)).to eq "2" }
  end

  def echoed(client, text)
    client.write(text).read(text.size)
  end

  def pipes
    open_files.count("pipe:")
  end

  # What is open, but for pipes and listening sockets: kinds and their number.
  def descriptors
    (open_files - ["pipe:"]).tally
  end

  def open_files
    Dir.children("/proc/#{@proxy.pid}/fd").filter_map do |number|
      name = File.readlink("/proc/#{@proxy.pid}/fd/#{number}")
      name[/\A(socket:|pipe:|.*)/, 1] unless @listening.include?(name)
    rescue Errno::ENOENT
      nil # closed between
    end
  end

  # They stay what they are, so to ask once is enough. The table is long: after a flood or a soak it has a line for each
  # of a hundred thousand connections that ended.
  def listening_sockets
    lines = %w[tcp tcp6].flat_map { |table| File.readlines("/proc/#{@proxy.pid}/net/#{table}").drop(1) }
    lines.map(&:split).filter_map { |fields| "socket:[#{fields[9]}]" if fields[3] == "0A" }
  end
end
