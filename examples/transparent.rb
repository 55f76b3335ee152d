# frozen_string_literal: true

# Sends everything to one server, whatever it says.
#
#   UPSTREAM=127.0.0.1:8080 proxymachine -c examples/transparent.rb

UPSTREAM = ENV.fetch("UPSTREAM", "127.0.0.1:80")

proxy { { remote: UPSTREAM } }
