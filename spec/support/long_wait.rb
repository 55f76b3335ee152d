# frozen_string_literal: true

# One proxy with one client, and when things happened to it.
class LongWait
  attr_reader :proxy, :client, :seconds

  def initialize(proxy, request)
    @proxy = proxy
    @client = Client.new(proxy.port).write(request)
  end

  def signal(name)
    @begun = Eventually.monotonic
    proxy.signal(name)
    @ending = Thread.new do
      proxy.wait(within: 40)
      @seconds = Eventually.monotonic - @begun
    end
    self
  end

  def status
    @ending.join
    proxy.wait
  end
end
