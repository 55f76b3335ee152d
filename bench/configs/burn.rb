# frozen_string_literal: true

# The routing of route.rb, beside a Ruby thread that releases the GVL only when its time slice ends.

load File.expand_path("route.rb", __dir__)

Thread.new { loop { 1 + 1 } }
