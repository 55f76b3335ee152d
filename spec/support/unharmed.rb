# frozen_string_literal: true

# What every fault must leave behind: a server that serves, holds no descriptor and counts no connection more than
# before, and has logged nothing that the example did not expect. `unharmed(:proxy)` in a group whose proxy is a Puppet
# checks this after each example.
module Unharmed
  NEVER = /\.rb:\d+:in |panicked|internal error|backtrace|\[BUG\]/i
  # The relay's pool keeps as many pipes as there were bulky flows at once, which here are a few.
  POOLED_PIPES = 32

  def unharmed(name)
    running(:bystander) { Backends.once("bystander") }
    before(:context) { @before = UnharmedServer.new(public_send(name), bystander) }
    before { @expected_trouble = [] }
    after do
      Owned.end_example # Lets go of the example's own clients and backends.
      @before.expect_same
      expect(trouble(public_send(name))).to eq @expected_trouble
    end
    include Trouble
  end

  # The lines that tell of trouble.
  module Trouble
    def trouble(of = proxy)
      of.settle.lines.grep(/\A(ERROR|WARN) /)
    end

    # These lines, no others, and no others later in the example.
    def expect_trouble(*lines)
      eventually { expect(trouble).to eq lines }
      @expected_trouble = lines
    end

    def retries(backend, numbers)
      numbers.map { |number| "WARN Retrying connection with #{backend.address} (##{number})" }
    end

    def premature(backend)
      "ERROR Connection with #{backend.address} was terminated prematurely."
    end

    # Whether the backend was reported to a callback.
    def reported?(backend)
      proxy.settled_log.match?(/^(connect error|inactivity) with #{backend.address}$/)
    end

    def dropped?
      proxy.settle.lines.include?("INFO Client closed while server connection in progress. Dropping.")
    end
  end

  # A server and what it held before anything happened to it.
  class UnharmedServer
    include Talking
    include RSpec::Matchers
    include Eventually

    def initialize(proxy, bystander)
      @proxy = proxy
      @bystander = bystander
      serves?
      eventually { connections == 1 }
      @descriptors = settled_descriptors
      @pipes = descriptors("pipe:").size
    end

    def expect_same
      eventually { expect(serves?).to be true }
      eventually { expect(connections).to eq 1 } # the one that asks
      eventually { expect(descriptors).to eq @descriptors }
      expect(descriptors("pipe:").size).to be <= @pipes + POOLED_PIPES
      [@proxy.log, @proxy.stderr].each { |text| expect(text).not_to match NEVER }
    end

    private

    def serves?
      request = Puppet.to(@bystander)
      ask(request, @proxy) == "bystander:#{request}"
    end

    def connections
      ask("{ :close => ProxyMachine.count.to_s }\n", @proxy).to_i
    end

    # What is open, but for pipes: kinds and their number.
    def descriptors(only = nil)
      kinds = Dir.children("/proc/#{@proxy.pid}/fd").filter_map { |number| kind_of(number) }
      only ? kinds.grep(only) : (kinds - ["pipe:"]).tally
    end

    def kind_of(number)
      File.readlink("/proc/#{@proxy.pid}/fd/#{number}")[/\A(socket:|pipe:|.*)/, 1]
    rescue Errno::ENOENT
      nil # closed between
    end

    # Once two looks see the same.
    def settled_descriptors
      eventually do
        seen = descriptors
        sleep 0.05
        seen if seen == descriptors
      end
    end
  end
end

RSpec.configure { |config| config.extend Unharmed }
