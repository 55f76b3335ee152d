# frozen_string_literal: true

module Bench
  class Soak
    # Reloads and upgrades while load comes, of which nobody may notice anything.
    class Changes
      # Seconds that an upgrade may take on a machine that has much else to do.
      PATIENCE = 120

      def initialize(proxy)
        @proxy = proxy
      end

      # In about so many seconds.
      def upgrade(seconds)
        reload(seconds / 2)
        @proxy.upgrade(PATIENCE)
        reload(seconds / 2)
      end

      # The same with another upgrade, to another binary.
      def update(seconds)
        reload(seconds / 2)
        @proxy.upgrade(PATIENCE)
        @proxy.program.update("2.0.1")
        @proxy.upgrade(PATIENCE)
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
