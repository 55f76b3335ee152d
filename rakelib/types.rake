# frozen_string_literal: true

# What uses every sniffer, most verbs and most kinds of answer.
TYPED = %w[documentation/routing documentation/sniffers routing/client].freeze

desc "Check sig/ by itself, and the calls that servers of some specs make against it"
task types: :compile do
  rbs = 'gem "rbs"; load Gem.bin_path("rbs", "rbs")'
  ruby "-e", rbs, "--", "-r", "logger", "-r", "monitor", "-I", "sig", "validate", out: File::NULL
  sh({ "PROXYMACHINE_PRELOAD" => "types/runtime.rb" },
     "ruby", "-S", "rspec", *TYPED.map { |name| "spec/#{name}_spec.rb" })
end
