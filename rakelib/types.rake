# frozen_string_literal: true

require_relative "lib/signatures"

# Specs that use every sniffer, most verbs and most kinds of answer.
TYPED = %w[documentation/routing documentation/sniffers routing/client].freeze

desc "Validate sig/, and check the calls in servers of some specs against it"
task types: :compile do
  sh(*Signatures.validation, out: File::NULL)
  sh({ "PROXYMACHINE_PRELOAD" => "types/runtime.rb" },
     "ruby", "-S", "rspec", *TYPED.map { |name| "spec/#{name}_spec.rb" })
end
