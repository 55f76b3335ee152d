# frozen_string_literal: true

# Routes every connection to one backend.
#
#   UPSTREAM=127.0.0.1:8080 proxymachine -c examples/transparent.rb

UPSTREAM = ENV.fetch("UPSTREAM", "127.0.0.1:80")

proxy { { remote: UPSTREAM } }
