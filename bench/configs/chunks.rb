# frozen_string_literal: true

# Undecided until END, then closes with the number of block calls over all connections.

LOGGER.level = Logger::ERROR

calls = 0

proxy do |data|
  calls += 1
  data.end_with?("END\n") ? { close: "calls=#{calls}\n" } : { noop: true }
end
