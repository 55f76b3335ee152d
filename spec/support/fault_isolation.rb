# frozen_string_literal: true

# A fault must stay within its connection. `check_fault_isolation(:proxy)` in a group whose proxy is a ScriptedProxy
# checks after each example that the server still serves, that its other connections still work, that no descriptor and
# no connection leaked, and that the log has no WARN or ERROR line which the example did not expect.
module FaultIsolation
  def check_fault_isolation(name)
    running(:unaffected_backend) { Backends.echo }
    running(:leak_check) { LeakCheck.new(public_send(name), unaffected_backend) }
    before { @expected_problems = [] }
    after do
      ResourceTracking.end_example # Closes the example's own clients and backends.
      leak_check.verify
      expect(problems(public_send(name))).to eq @expected_problems
    end
    include Problems
  end

  # The WARN and ERROR lines of a log.
  module Problems
    def problems(of = proxy)
      of.settle.lines.grep(/\A(ERROR|WARN) /)
    end

    # Expects exactly these lines, now and at the end of the example.
    def expect_problems(*lines)
      eventually { expect(problems).to match lines }
      @expected_problems = problems
    end

    def retry_lines(backend, numbers)
      numbers.map { |number| "WARN Retrying connection with #{backend.address} (##{number})" }
    end

    def premature_end_line(backend)
      "ERROR Connection with #{backend.address} was terminated prematurely."
    end

    # Whether a failure callback was called for the backend.
    def callback_called_for?(backend)
      proxy.settled_log.match?(/^(connect error|inactivity) with #{backend.address}$/)
    end

    def client_drop_logged?
      proxy.settle.lines.include?("INFO Client closed while server connection in progress. Dropping.")
    end
  end
end

RSpec.configure { |config| config.extend FaultIsolation }
