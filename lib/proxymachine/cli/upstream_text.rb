# frozen_string_literal: true

class ProxyMachine
  class CLI
    # Describes declared upstreams for `--check` and `--route`.
    # @api private
    module UpstreamText
      # Servers of one upstream that are named.
      MAX_NAMED = 10
      private_constant :MAX_NAMED

      class << self
        # @param upstreams [Config::Upstreams]
        # @return [Array<String>] a line for each
        def lines(upstreams) = upstreams.map { |upstream| line(upstream) }

        # @param upstream [Config::Upstream]
        # @return [String]
        def line(upstream) = "upstream #{upstream.name}: #{servers(upstream)}; #{facts(upstream).join(", ")}"

        private

        def servers(upstream)
          return "servers listed by a block every #{seconds(upstream.options[:every])}" unless upstream.servers

          all = upstream.weighted(upstream.servers)
          return "no server" if all.empty?

          named = all.first(MAX_NAMED).map { |server, weight| weight == 1 ? server : "#{server} (weight #{weight})" }
          [*named, *("#{all.size - MAX_NAMED} more" if all.size > MAX_NAMED)].join(", ")
        end

        def facts(upstream)
          options = upstream.options
          [options[:balance] == :ordered ? "the first that is up" : "the least used", limit(options), queue(options),
           check(upstream), ("each name looked up every #{seconds(options[:resolve])}" if options[:resolve]),
           ("sessions end with their server" if options[:on_down]), *on_demand(options)].compact
        end

        def limit(options)
          "#{options[:max_connections]} connections each" if options[:max_connections]
        end

        def queue(options)
          return unless options[:max_connections] && options[:queue_timeout]&.positive?

          "a queue of #{options[:max_queue]} for #{seconds(options[:queue_timeout])}"
        end

        def check(upstream)
          interval = upstream.check_interval or return "not checked"
          "checked every #{seconds(interval)}#{" by a block" if upstream.check}"
        end

        def on_demand(options)
          hold = options[:hold]
          [("started when a client comes" if options[:start]),
           ("stopped after #{seconds(options[:idle])} without a connection" if options[:stop] && options[:idle]),
           ("clients held for #{seconds(hold)}" if hold&.positive?)]
        end

        def seconds(number)
          "#{number.to_s.delete_suffix(".0")} s"
        end
      end
    end
  end
end
