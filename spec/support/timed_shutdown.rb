# frozen_string_literal: true

# One proxy with one client, and the seconds from a signal to the end of the process.
class TimedShutdown
  attr_reader :proxy, :client, :seconds

  def initialize(proxy, request)
    @proxy = proxy
    @client = Client.new(proxy.port).write(request)
  end

  def signal(name)
    @begun = Eventually.monotonic
    proxy.signal(name)
    @waiter = Thread.new do
      proxy.wait(within: 40)
      @seconds = Eventually.monotonic - @begun
    end
    self
  end

  def status
    @waiter.join
    proxy.wait
  end
end
