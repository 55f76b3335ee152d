# frozen_string_literal: true

# Gives any value at all to settings, listeners, names and flags. A wrong value must be a ProxyMachine::Error, whose
# message is in UTF-8 and without control characters.
#
#   ruby fuzz/settings.rb [SEED]           the same values for the same seed
#   ruby fuzz/settings.rb --value NUMBER   one of them again
#
# FUZZ_SECONDS is the duration, 60 by default. Ends with status 1 after a finding.

require "timeout"
require_relative "answers/random_value"
require_relative "answers/hostile_behavior"
require_relative "../lib/proxymachine"
require_relative "../lib/proxymachine/cli"

# Parses one random value.
class SettingsFuzzer
  include RandomChoice

  SETTINGS = ProxyMachine::Config::Settings
  LISTENERS = ProxyMachine::Config::Listeners
  OPTIONS = ProxyMachine::CLI::Options
  FLAGS = OPTIONS.new([]).parser.to_a.flat_map { |line| line.scan(/(?<![\w-])--?\w[\w-]*/) }.uniq.freeze

  # A message is in UTF-8, or in the encoding of the locale C.
  LOCALES = [Encoding::UTF_8, Encoding::US_ASCII].freeze

  # String#inspect leaves U+0085 as it is.
  CONTROL = /[\u0000-\u001f\u007f]/

  class Finding < StandardError; end

  def initialize(number)
    super(Random.new(number))
    @value = RandomValue.new(@random)
  end

  def check
    by_weight(set: 5, override: 3, listen: 5, name: 1, arguments: 5)
  rescue ProxyMachine::Error => e
    message = e.message
    valid = LOCALES.include?(message.encoding) && message.valid_encoding? && !message.match?(CONTROL)
    raise Finding, "its message is #{message.inspect}" unless valid
  end

  private

  def set
    SETTINGS.new.set(one_of(*SETTINGS::ALL.keys), plain_value)
  end

  def override
    SETTINGS.new.override(one_of(*SETTINGS::ALL.keys), argument)
  end

  def listen
    options = some_of(%i[name proxy_protocol mode user group other], 4).to_h { |key| [key, plain_value] }
    listeners = LISTENERS.new
    listeners.add(plain_value, one_in?(8) ? plain_value : options)
    listeners.to_a
  end

  def name
    LISTENERS.name(plain_value)
  end

  def arguments
    words = Array.new(@random.rand(6)) { one_in?(2) ? one_of(*FLAGS) : argument }
    OPTIONS.new(words)
  end

  # What a shell can pass: bytes without NUL, which Ruby takes for text of the locale. String#delete is not called,
  # because Ruby 3.1 crashes in it if the String was in UTF-32 before and had 21 bytes.
  def argument
    text = one_in?(2) ? @value.text : plain_value
    text.to_s.bytes.reject(&:zero?).pack("C*").force_encoding(Encoding.default_external)
  end

  # A config that misbehaves when it is asked fails on its own, in Loader.
  def plain_value
    one_of(@value.text, @value.seconds, [@value.text], { name: @value.text }, Object.new)
  end
end

if $PROGRAM_NAME == __FILE__
  ENV["FUZZ_PORTS"] = "1 80 65535"
  again = ARGV.delete("--value")
  seed = Integer(ARGV.first || Random.new_seed % (1 << 32))
  finish = Process.clock_gettime(Process::CLOCK_MONOTONIC) + Integer(ENV.fetch("FUZZ_SECONDS", "60"))
  numbers = again ? [seed] : (seed..)
  tried = numbers.find_index do |number|
    SettingsFuzzer.new(number).check
    Process.clock_gettime(Process::CLOCK_MONOTONIC) > finish
  rescue StandardError => e
    puts "settings: value #{number}: #{e.message} (#{e.class})", e.backtrace.first(10)
    exit 1
  end
  puts "settings: seed #{seed}, #{tried || numbers.count} values, no finding"
end
