# frozen_string_literal: true

# The config of the server under test. The first line of a connection is the number of the answer.
require_relative "random_answer"

# The extension must keep every object alive that it holds while it reads an answer. GC.stress is very slow, so it is on
# for a short time only, and never for a nested answer, whose `inspect` would take minutes.
def stress_gc
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
  stress_gc if random.rand(50).zero? && flat?(answer)
  answer
end

proxy_connect_error { |remote| HostileBehavior.new(Random.new(remote.sum)).perform }
proxy_inactivity_error { |remote| HostileBehavior.new(Random.new(remote.sum)).perform }
