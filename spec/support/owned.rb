# frozen_string_literal: true

# Who ends what: processes, backends and clients that a group starts (see SharedServers) serve all its examples; those
# that an example starts end with it, whatever its outcome.
module Owned
  class << self
    def living
      @living ||= []
    end

    def begin_example
      @shared = living.dup
      living.each(&:mark)
    end

    def end_example
      (living - @shared).reverse_each(&:stop)
    end

    def stop_all
      living.reverse.each(&:stop)
    end

    # What the processes logged meanwhile, to be shown with a failure.
    def report
      living.grep(Child).map(&:report).join
    end
  end

  private

  def own
    Owned.living << self
  end

  def disown
    Owned.living.delete(self)
  end
end
