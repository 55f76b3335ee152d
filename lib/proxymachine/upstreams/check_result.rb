# frozen_string_literal: true

require_relative "../config/upstream_options"

class ProxyMachine
  module Upstreams
    # What the answer of an +upstream_check+ block means.
    # @api private
    module CheckResult
      class << self
        # @param outcome [Task::Outcome]
        # @return [Array(Object, String)] whether it is up, an Integer for its weight; and why it is down, or nil
        def of(outcome)
          return [false, outcome.reason] if outcome.failure

          case (value = outcome.value)
          when Integer then weight(value)
          when nil, false then [false, "its check said #{value.inspect}"]
          else [true, nil]
          end
        end

        private

        def weight(value)
          greatest = Config::UpstreamOptions::MAX_WEIGHT
          return [value, nil] if value.between?(0, greatest)

          [false, "its check said #{value}, and a weight is a number from 0 to #{greatest}"]
        end
      end
    end
  end
end
