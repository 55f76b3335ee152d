# frozen_string_literal: true

# Stops the processes, backends and clients that the specs start. A resource that a group starts (see SharedServers)
# serves all its examples. A resource that an example starts is stopped when the example ends, whatever the outcome.
module ResourceTracking
  class << self
    def resources
      @resources ||= []
    end

    def begin_example
      @shared = resources.dup
      resources.each(&:begin_example)
    end

    def end_example
      (resources - @shared).reverse_each(&:stop)
    end

    def stop_all
      resources.reverse.each(&:stop)
    end

    # Returns what the processes logged during the example, to be printed with a failure.
    def report
      resources.grep(Child).map(&:report).join
    end
  end

  # Called on every shared resource when an example begins.
  def begin_example; end

  private

  def track
    ResourceTracking.resources << self
  end

  def untrack
    ResourceTracking.resources.delete(self)
  end
end
