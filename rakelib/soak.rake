# frozen_string_literal: true

desc "Run mixed load with random faults against the real executable (SOAK_SECONDS, SOAK_SEED, SOAK_ONLY)"
task soak: :compile do
  require_relative "../bench/lib/soak"

  seconds = Integer(ENV.fetch("SOAK_SECONDS", 60))
  seed = Integer(ENV.fetch("SOAK_SEED") { rand(1..999_999) })
  Bench::Soak.new(seconds: seconds, seed: seed, only: ENV.fetch("SOAK_ONLY", "")).run || exit(1)
end
