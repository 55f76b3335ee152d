# frozen_string_literal: true

# The admin server with sample data of a busy proxy: ext/admin/examples/sample.rs.
class SampleAdmin < Child
  attr_reader :port

  def initialize
    build
    super("#{ProxyProcess::ROOT}/target/debug/examples/sample", "127.0.0.1:0")
    @port = Eventually.eventually { stdout[/port Some\((\d+)\)/, 1] }.to_i
  end

  def url(path = "")
    "http://127.0.0.1:#{port}/#{path}"
  end

  private

  # The tests of the crate have built the example already.
  def build
    command = %w[cargo build --quiet --locked --package proxymachine-admin --example sample]
    output, status = Open3.capture2e({ "CARGO_TARGET_DIR" => "target" }, *command, chdir: ProxyProcess::ROOT)
    raise output unless status.success?
  end
end
