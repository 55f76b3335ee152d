# frozen_string_literal: true

# The routing of route.rb beside a Ruby thread that never lets go of the GVL but when it must.

load File.expand_path("route.rb", __dir__)

Thread.new { loop { 1 + 1 } }
