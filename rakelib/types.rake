# frozen_string_literal: true

# Specs that use every sniffer, most verbs and most kinds of answer.
TYPED = %w[documentation/routing documentation/sniffers routing/client].freeze

desc "Validate sig/, and check the calls in servers of some specs against it"
task types: :compile do
  rbs = 'gem "rbs"; load Gem.bin_path("rbs", "rbs")'
  libraries = %w[logger monitor openssl pathname socket].flat_map { |name| ["-r", name] }
  ruby "-e", rbs, "--", *libraries, "-I", "sig", "validate", out: File::NULL
  sh({ "PROXYMACHINE_PRELOAD" => "types/runtime.rb" },
     "ruby", "-S", "rspec", *TYPED.map { |name| "spec/#{name}_spec.rb" })
end
