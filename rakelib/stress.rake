# frozen_string_literal: true

# Each native call at least once: every kind of answer, of end and of LOGGER, callbacks, jumps, forks, drains.
STRESSED = %w[
  contract/answers_remote contract/answers_close contract/answers_forms contract/remotes contract/block_call
  contract/block_exits contract/callbacks contract/connecting contract/drain contract/embedding contract/inactivity
  contract/logger contract/premature_end contract/public_api faults/ruby_processes routing/client operations/log_format
].freeze

desc "Run specs against servers in which Ruby collects garbage at every opportunity (some minutes)"
task stress: :compile do
  sh({ "PROXYMACHINE_PRELOAD" => "stress/gc_stress.rb" },
     "ruby", "-S", "rspec", *STRESSED.map { |name| "spec/#{name}_spec.rb" })
end
