# frozen_string_literal: true

# What a router test costs, in processor time. Each figure is the best of several, which other load affects least;
# bench/router_tests.rb measures more. 64 KiB that are cut at every byte are in cuts_spec.rb.
RSpec.describe "Cost of a router test:" do
  # Returns the milliseconds of the best of ten rounds.
  def milliseconds
    Array.new(10) do
      begun = Process.clock_gettime(Process::CLOCK_THREAD_CPUTIME_ID, :float_millisecond)
      yield
      Process.clock_gettime(Process::CLOCK_THREAD_CPUTIME_ID, :float_millisecond) - begun
    end.min
  end

  it "loading a config takes less than 20 ms" do
    example = File.expand_path("../../examples/http_host.rb", __dir__)
    expect(milliseconds { ProxyMachine::Testing.load(example) }).to be < 20
  end

  it "a decision takes less than 50 us" do
    router = TestingConfig.load('proxy { |data| data.start_with?("GET /api") ? "10.0.0.2:80" : "10.0.0.1:80" }')
    expect(milliseconds { 1000.times { router.decide("GET /api/cats HTTP/1.1\r\n\r\n") } }).to be < 50
  end
end
