# frozen_string_literal: true

# What every fault must leave behind: a server that serves, whose other connections went on, that holds no descriptor
# and counts no connection more than before, and that has logged nothing which the example did not expect.
# `unharmed(:proxy)` in a group whose proxy is a Puppet checks this after each example.
module Unharmed
  def unharmed(name)
    running(:bystanders) { Backends.echo }
    running(:harm) { HarmDetector.new(public_send(name), bystanders) }
    before { @expected_trouble = [] }
    after do
      Owned.end_example # Lets go of the example's own clients and backends.
      harm.expect_none
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
      eventually { expect(trouble).to match lines }
      @expected_trouble = trouble
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
end

RSpec.configure { |config| config.extend Unharmed }
