# frozen_string_literal: true

# The assertions of Minitest, in a process of their own, since Minitest runs what it has loaded.
RSpec.describe "require \"proxymachine/minitest\":" do
  def run(assertions)
    Dir.mktmpdir do |dir|
      TestingConfig.write(dir, "router.rb" => <<~CONFIG, "router_test.rb" => <<~TEST)
        proxy do |data, client|
          next { :remote => ["a:1", "b:2"] } if data.start_with?("GET /\\n")
          next { :close => "no\\n" } if data.include?("\\n")
          next "c:3" if client.ip == "10.0.0.1"
          data.size == 4 ? :close : :noop
        end
      CONFIG
        require "proxymachine/minitest"
        require "minitest/autorun"
        class RouterTest < Minitest::Test
          def router = ProxyMachine::Testing.load(File.join(__dir__, "router.rb"))
          def test_router
            #{assertions}
          end
        end
      TEST
      output, status = Open3.capture2e(*ProxyProcess.ruby, File.join(dir, "router_test.rb"))
      [status.success?, output]
    end
  end

  def failure(assertion)
    success, output = run(assertion)
    raise output if success

    output[/^RouterTest#test_router \[\S+\]:\n(.*?)\n\n/m, 1]
  end

  it "asserts" do
    success, output = run(<<~TEST)
      assert_routes router, "GET /\\n"
      assert_routes router, "GET /\\n", "a:1"
      assert_routes router, "GET /\\n", "a:1", "b:2"
      assert_routes router, "GET /\\n", /a/
      assert_routes router, "x", "c:3", :ip => "10.0.0.1"
      assert_closes router, "POST\\n"
      assert_closes router, "POST\\n", "no\\n"
      assert_closes router, "POST", nil
      assert_waits router, "PO"
      assert_decides_alike_however_cut router, "PO\\n"
    TEST
    expect(output).to match(/1 runs, 10 assertions, 0 failures, 0 errors/)
    expect(success).to be true
  end

  it "says what the router does instead" do
    expect(failure('assert_routes router, "PO", "b:2"'))
      .to eq %(expected the router to route "PO" to b:2\nbut it waits for more (answer :noop, 1 call))
    expect(failure('assert_closes router, "POST", "no"'))
      .to eq %(expected the router to close "POST" with "no"\nbut it closes the connection (answer :close, 1 call))
    expect(failure('assert_waits router, "POST"'))
      .to eq %(expected the router to wait for more after "POST"\nbut it closes the connection (answer :close, 1 call))
    expect(failure('assert_decides_alike_however_cut router, "POST!"')).to eq <<~TEXT.chomp
      expected the router to decide alike however "POST!" is cut
      but in one piece: waits for more (answer :noop, 1 call)
          cut after 4 bytes: closes the connection (answer :close, 1 call)
          also different: byte by byte
    TEXT
  end
end
