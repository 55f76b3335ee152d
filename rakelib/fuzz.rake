# frozen_string_literal: true

require_relative "unstable"

# Fuzzing: every target of every ext/*/fuzz, and the fuzzers in fuzz. Findings and the corpora that the fuzzers grow go
# to tmp/fuzz; the committed corpora are only read.
module Fuzz
  module_function

  def seconds
    Integer(ENV.fetch("FUZZ_SECONDS", "60"))
  end

  def need_cargo_fuzz
    return if Unstable.works?("cargo", "fuzz", "--version")

    abort "rake fuzz needs cargo-fuzz: cargo install cargo-fuzz --locked (some minutes, once)"
  end

  # Returns pairs of a crate's directory and a target's name.
  def targets
    Dir["ext/*/fuzz/Cargo.toml"].sort.map { |file| File.expand_path("../..", file) }.flat_map do |crate|
      IO.popen(%w[cargo fuzz list], chdir: crate, &:read).split.map { |target| [crate, target] }
    end
  end

  def run_target(crate, target)
    name = "#{File.basename(crate)} #{target}"
    dir = directory(name)
    FileUtils.mkdir_p("#{dir}/corpus")
    ended_well, output = run(name, dir, *command_for(crate, target, dir), chdir: crate)
    puts "#{name}: #{output[/number_of_executed_units:\s*(\d+)/, 1] || "no"} executions"
    puts reason(output) unless ended_well
    ended_well
  end

  # Returns the lines with the reason of a failure, without stack traces.
  def reason(output)
    telling = output.scan(/^thread .* panicked at .*\n.*|^error.*\n.*|^==\d+== ?ERROR: .*|^.*Test unit written to .*/)
    telling.empty? ? output.lines.last(20) : telling
  end

  # Runs a fuzzer in Ruby.
  def run_script(name)
    dir = directory(name)
    environment = { "FUZZ_SECONDS" => seconds.to_s }
    ended_well, output = run(name, dir, environment, RbConfig.ruby, "fuzz/#{name}.rb", *ENV["FUZZ_SEED"])
    puts output.lines.grep(/\A#{name}: /)
    FileUtils.cp("#{dir}/log", "#{dir}/findings/#{Time.now.to_i}.log") unless ended_well
    ended_well
  end

  def directory(name)
    File.expand_path("tmp/fuzz/#{name.tr(" ", "/")}").tap { |dir| FileUtils.mkdir_p("#{dir}/findings") }
  end

  # Returns whether the command succeeded, and its output, which is kept in `dir`.
  def run(name, dir, *command, **options)
    puts "#{name}: #{seconds} s, log and findings in #{dir}"
    $stdout.flush
    ended_well = system(*command, **options, %i[out err] => "#{dir}/log")
    [ended_well, File.read("#{dir}/log", encoding: Encoding::UTF_8).scrub]
  end

  # libFuzzer adds to the first corpus and only reads the others.
  def command_for(crate, target, dir)
    [*Unstable.cargo, "fuzz", "run"] +
      [target, "#{dir}/corpus", *Dir["#{crate}/fuzz/corpus/#{target}"], "--", "-artifact_prefix=#{dir}/findings/",
       "-max_total_time=#{seconds}", "-timeout=10", "-print_final_stats=1"]
  end
end

desc "Fuzz every parser of foreign input, FUZZ_SECONDS (60) per target"
task fuzz: :compile do
  Fuzz.need_cargo_fuzz
  results = Fuzz.targets.map { |crate, target| Fuzz.run_target(crate, target) }
  results += %w[answers settings].map { |name| Fuzz.run_script(name) }
  abort "rake fuzz: #{results.count(false)} of #{results.size} found something" unless results.all?
end
