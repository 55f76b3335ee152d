# frozen_string_literal: true

module Bench
  class Soak
    # Reloads and upgrades under load, which no client may notice.
    class LiveChanges
      # Seconds that an upgrade may take on a busy machine.
      UPGRADE_TIMEOUT = 120

      def initialize(proxy)
        @proxy = proxy
      end

      # Takes about this many seconds.
      def upgrade(seconds)
        reload(seconds / 2)
        @proxy.upgrade(UPGRADE_TIMEOUT)
        reload(seconds / 2)
      end

      # Upgrades once more, to another binary.
      def update(seconds)
        reload(seconds / 2)
        @proxy.upgrade(UPGRADE_TIMEOUT)
        @proxy.program.update("2.0.1")
        @proxy.upgrade(UPGRADE_TIMEOUT)
        reload(seconds / 2)
      end

      private

      def reload(seconds)
        RELOADS.times do
          @proxy.signal("HUP")
          sleep(seconds / RELOADS)
        end
      end
    end
  end
end
