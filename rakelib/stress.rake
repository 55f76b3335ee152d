# frozen_string_literal: true

# Specs that call each native method: every kind of answer, end and LOGGER, callbacks, non-local exits, forks, drains.
STRESSED = %w[
  contract/answers_remote contract/answers_close contract/answers_forms contract/remotes contract/block_call
  contract/block_exits contract/callbacks contract/connecting contract/drain contract/embedding contract/inactivity
  contract/logger contract/premature_end contract/public_api faults/ruby_processes routing/client operations/log_format
].freeze

desc "Run specs against servers under GC.stress (some minutes)"
task stress: :compile do
  sh({ "PROXYMACHINE_PRELOAD" => "stress/gc_stress.rb" },
     "ruby", "-S", "rspec", *STRESSED.map { |name| "spec/#{name}_spec.rb" })
end
