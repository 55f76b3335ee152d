# frozen_string_literal: true

module Bench
  class Soak
    # The proxy's log: every line is one of the contract or of configs/soak.rb, and the number of each
    # is as expected.
    class Log
      LINE = /\A[A-Z], \[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6} #\d+\] ([ A-Z]{5}) -- : (.*)\n\z/
      CLIENT = /127\.0\.0\.1:\d+/
      REMOTE = /(?:127\.0\.0\.1|localhost):\d+/
      ANSWER = /\{.*\}|nil|true|42|\[\]|:other|"no port"|"host:0"|Object/

      KNOWN = {
        listening: /\A INFO Listening on #{CLIENT}\z/,
        hints: /\A INFO Send (QUIT|TERM or INT) to quit after waiting for .* to finish\.\z/,
        accepted: /\A INFO Accepted #{CLIENT}\z/,
        answered: /\A INFO #{CLIENT} (?:#{ANSWER})\z/,
        dialing: /\A INFO Establishing new connection with #{REMOTE}\z/,
        connected: /\A INFO Successful connection to #{REMOTE}\z/,
        left: /\A INFO Client closed while server connection in progress\. Dropping\.\z/,
        received: /\A INFO Received (QUIT|USR2) signal\. No longer accepting new connections\.\z/,
        reloaded: /\A INFO Reloaded \S+\. Listening on #{CLIENT}\.\z/,
        upgrading: /\A INFO Upgrading: starting .*\z/,
        upgraded: /\A INFO Upgraded: process \d+ has taken over\.\z/,
        waiting: /\A INFO Waiting for \d+ connections to finish\.\z/,
        retrying: /\A WARN Retrying connection with #{REMOTE} \(#([1-9]|10)\)\z/,
        failed: /\AERROR Connect #{REMOTE} failed after ten attempts\.\z/,
        premature: /\AERROR Connection with #{REMOTE} was terminated prematurely\.\z/,
        inactive: /\AERROR Disconnecting #{REMOTE} after [\d.]+s of inactivity \(> 0\.2\)\z/,
        nonsense: /\AERROR #{CLIENT} invalid (answer|remote) .*: .*expected .*\z/,
        raised: /\AERROR RuntimeError - soak \d+\z/,
        connect_callback: /\A INFO soak: no connection with #{REMOTE}\z/,
        place: /\A WARN #{CLIENT} the \w+ block raised at \S+:\d+ \(listener #{CLIENT}\)\z/,
        undecided: /\A WARN #{CLIENT} the answer .* decides nothing.*\z/,
        unreachable: /\A INFO #{CLIENT} cannot reach #{REMOTE}: .*\z/,
        inactivity_callback: /\AERROR RuntimeError - soak callback #{REMOTE}\z/
      }.freeze

      attr_reader :counts, :strange

      def initialize(path)
        @counts = KNOWN.transform_values { 0 }
        @strange = []
        File.foreach(path, encoding: Encoding::UTF_8) { |line| count(line) }
      end

      # Returns the differences from the lines that connections of these kinds cause.
      def faults(kinds, total)
        wanted = exact(kinds, total).merge(bounded(kinds))
        wrong = wanted.reject { |name, count| count === counts[name] } # rubocop:disable Style/CaseEquality
        wrong.map { |name, count| "the log has #{counts[name]} lines of the kind #{name}, not #{count}" } +
          strange.first(10).map { |line| "the log has a line it should not have: #{line.inspect}" }
      end

      private

      def exact(kinds, total)
        { accepted: total, raised: kinds["raises"], nonsense: kinds["nonsense"], inactive: kinds["inactive"],
          inactivity_callback: kinds["inactive"], connect_callback: counts[:failed] + counts[:premature],
          listening: 1 + UPGRADES, hints: 2 + (2 * UPGRADES), received: 1 + UPGRADES, reloaded: 4 * RELOADS,
          upgrading: UPGRADES, upgraded: UPGRADES }
      end

      # A client that disconnects may do so before or after a line is logged.
      def bounded(kinds)
        all = kinds["refused"] + kinds["refused-left"]
        { failed: kinds["refused"]..all, retrying: 10 * kinds["refused"]..10 * all,
          premature: kinds["mute"]..kinds["mute"] + kinds["server-resets"],
          dialing: counts[:connected] + counts[:retrying].. }
      end

      def count(line)
        text = line.scrub[LINE] && "#{$1} #{$2}"
        name, = text && KNOWN.find { |_, pattern| pattern.match?(text) }
        name ? @counts[name] += 1 : @strange << line
      end
    end
  end
end
