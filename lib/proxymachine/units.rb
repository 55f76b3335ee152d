# frozen_string_literal: true

class ProxyMachine
  # Numbers as people read them, as short as a terminal wants them.
  # @api private
  module Units
    BYTES = %w[B KiB MiB GiB TiB PiB].freeze
    COUNTS = ["", "k", "M", "G", "T"].freeze
    private_constant :BYTES, :COUNTS

    module_function

    # 1,234,567
    def number(value)
      value.to_s.gsub(/(\d)(?=(\d{3})+\z)/, '\1,')
    end

    # 0.2, 17, 1.25k; a dash for what is not known
    def rate(value)
      value ? scaled(value, 1000.0, COUNTS, "") : "-"
    end

    # 512 B, 1.5 MiB
    def bytes(value)
      value ? scaled(value, 1024.0, BYTES, " ") : "-"
    end

    # 250 us, 1.5 ms, 12 s
    def seconds(value)
      return "-" unless value
      return age(value) if value >= 100
      return "#{short(value)} s" if value >= 0.9995

      value >= 0.0009995 ? "#{short(value * 1e3)} ms" : "#{short(value * 1e6)} us"
    end

    # 5 s, 3 min 20 s, 4 h 5 min, 12 d 3 h
    def age(value)
      seconds = [value.to_i, 0].max
      case seconds
      when 0...60 then "#{seconds} s"
      when 60...3600 then "#{seconds / 60} min #{seconds % 60} s"
      when 3600...86_400 then "#{seconds / 3600} h #{seconds / 60 % 60} min"
      else "#{seconds / 86_400} d #{seconds / 3600 % 24} h"
      end
    end

    def scaled(value, base, units, space)
      unit = 0
      while value >= base * 0.9995 && unit + 1 < units.size
        value /= base
        unit += 1
      end
      "#{short(value)}#{space}#{units[unit]}"
    end

    # Three digits, or all before the point.
    def short(value)
      return value.round.to_s if value >= 99.95

      format(value >= 9.995 ? "%.1f" : "%.2f", value).sub(/\.?0+\z/, "")
    end
    private_class_method :scaled, :short
  end
end
