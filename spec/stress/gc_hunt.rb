# frozen_string_literal: true

# Hunts for objects that the extension holds and Ruby does not know of: puts servers under load whose garbage collector
# compacts in a loop, compacts with each collection, or collects at each allocation, by turns. Checks each answer. Keeps
# the whole output of each server.
#
#   HUNT_SECONDS   how long, for all rounds together (120)
#   HUNT_TREE      the directory of exe and lib (this tree)
#   HUNT_PRELOAD   a library for LD_PRELOAD, such as the runtime of a sanitizer
#   HUNT_LOGS      where the outputs go (tmp/gc_hunt)

require_relative "gc_hunt/conversations"
require_relative "gc_hunt/peers"
require_relative "gc_hunt/round"

peers = Peers.new
rounds = %w[compact auto_compact stress].product([1, 4])
seconds = Float(ENV.fetch("HUNT_SECONDS", "120")) / rounds.size
found = rounds.flat_map do |mode, threads|
  round = Round.new(mode, threads, peers)
  faults = round.run(seconds)
  puts(round, faults.map { |fault| "  #{fault}" })
  $stdout.flush
  faults
end
exit found.empty?
