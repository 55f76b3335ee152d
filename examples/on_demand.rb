# frozen_string_literal: true

# Starts a server when the first client comes, and stops it when no client was there for ten minutes. Clients that come
# while the server starts or stops are held, and connected when it answers.
#
#   SERVER=127.0.0.1:25566 START="systemctl start game" STOP="systemctl stop game" proxymachine -c examples/on_demand.rb

require "shellwords"

# Runs a command. The log has an ERROR line if it fails.
def run(command)
  system(*Shellwords.split(command), exception: true)
end

START = ENV.fetch("START", "systemctl start game")
STOP = ENV.fetch("STOP", "systemctl stop game")

upstream :game, ENV.fetch("SERVER", "127.0.0.1:25566"),
         start: -> { run(START) }, stop: -> { run(STOP) },
         idle: Float(ENV.fetch("IDLE", "600")), hold: Float(ENV.fetch("HOLD", "60"))

# A client that has connected without sending anything, such as a port scanner, starts nothing.
proxy { :game }
