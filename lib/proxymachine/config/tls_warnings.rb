# frozen_string_literal: true

class ProxyMachine
  class Config
    # What the log and `-t` warn of: certificates and revocation lists that are out of date or will be soon, and choices
    # that make TLS less secure.
    # @api private
    module TlsWarnings
      # Seconds before its end in which a certificate is warned of: 14 days.
      EXPIRING = 14 * 86_400
      # Seconds of the units in which a time is told, and from how many seconds on.
      UNITS = { "day" => [86_400, 2 * 86_400], "hour" => [3600, 2 * 3600], "minute" => [60, 0] }.freeze
      private_constant :EXPIRING, :UNITS

      module_function

      # @param identity [Certificates, Authorities]
      # @param now [Integer] seconds since 1970
      # @return [Array<String>] lines about its certificates and revocation lists
      def of(identity, now = Time.now.to_i)
        lists = identity.is_a?(Authorities) ? identity.revocation_lists : []
        identity.infos.filter_map { |info| of_certificate(*info, now) } +
          lists.filter_map { |file, next_update| line(:old_list, file, now - next_update) if next_update < now }
      end

      # @return [String, nil] a line about a certificate
      def of_certificate(name, file, not_before, not_after, now)
        what = "#{name} (#{file})"
        if now > not_after then line(:expired, what, now - not_after)
        elsif now < not_before then line(:early, what, not_before - now)
        elsif not_after - now < EXPIRING then line(:expiring, what, not_after - now)
        end
      end

      # @param kind [Symbol] what there is to warn of
      # @param what [String, nil] a certificate or a file
      # @param seconds [Integer] how long ago, or until then
      # @return [String]
      def line(kind, what = nil, seconds = 0)
        case kind
        when :expired then "Certificate #{what} has expired #{span(seconds)} ago: renew it."
        when :early then "Certificate #{what} is not valid yet: check the clock, or wait #{span(seconds)}."
        when :expiring then "Certificate #{what} expires in #{span(seconds)}: renew it."
        when :old_list then "Revocation list #{what} is out of date since #{span(seconds)}: get the next one."
        when :unverified then "authorities with :verify => false trust any server: its certificate is not verified."
        when :key_log then "tls_key_log appends the keys of TLS connections to #{what}: its readers can decrypt them."
        end
      end

      # @return [String] a time such as "3 days"
      def span(seconds)
        unit, (size,) = UNITS.find { |_, (_, least)| seconds >= least }
        count = seconds / size
        "#{count} #{unit}#{"s" unless count == 1}"
      end
    end
  end
end
