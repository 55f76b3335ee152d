# frozen_string_literal: true

# The config of the server under test. A connection says which answer it wants: a number, in a line.
require_relative "random_answer"

# The extension must keep alive whatever it holds while it reads an answer. This is very slow, so it is short, and
# nothing for what is nested: `inspect` would be minutes at it.
def collect_all_the_time
  Thread.new { sleep(0.03) && GC.stress = false }
  GC.stress = true
end

def nested?(value)
  case value
  when Hash, Array then true
  else false
  end
end

def flat?(answer)
  case answer
  when Hash then answer.each_value.none? { |value| nested?(value) }
  else !nested?(answer)
  end
end

proxy do |data|
  GC.stress = false
  number = data[/\A(\d+)\n/, 1]
  next ENV.fetch("FUZZ_ECHO") unless number

  random = Random.new(number.to_i + data.bytesize)
  answer = RandomAnswer.new(random).answer
  collect_all_the_time if random.rand(50).zero? && flat?(answer)
  answer
end

proxy_connect_error { |remote| Mischief.new(Random.new(remote.sum)).do_something }
proxy_inactivity_error { |remote| Mischief.new(Random.new(remote.sum)).do_something }
