# frozen_string_literal: true

class ProxyMachine
  # The Ruby threads that answer beside the one that runs: `threads N`, for blocks that wait for databases
  # and may be called several at once.
  # @api private
  class Workers
    # @param engine [Engine]
    # @param count [Integer] none for 1: then the thread that runs answers itself
    def initialize(engine, handler, count)
      @engine = engine
      @handler = handler
      @runner = Thread.current
      @threads = []
      count.times { @threads << start } if count > 1
    rescue ThreadError => e
      stop
      raise StartError, "threads #{count}: #{e.message}"
    end

    # Ends them all, whatever they do.
    def stop
      @stopped = true
      @engine.dismiss
      @threads.each(&:kill).each(&:join)
    end

    private

    def start
      Thread.new { work }.tap do |thread|
        thread.report_on_exception = false
        thread.name = "proxymachine worker"
      end
    end

    # What must end the server ends it on the thread that runs. A block that kills its thread costs only that.
    def work
      finished = false
      @engine.work(@handler)
      finished = true
    rescue Exception => e # rubocop:disable Lint/RescueException
      finished = true
      @runner.raise(e)
    ensure
      @threads << start unless finished || @stopped
    end
  end
end
