# frozen_string_literal: true

class ProxyMachine
  # Makes the Structs of the sniffers immutable. The extension creates them, with frozen Strings, Arrays and Hashes.
  module Frozen
    # Initializes the Struct and freezes it.
    def initialize(*)
      super
      freeze
    end

    # @return [String] the class and the attributes that are not nil
    def inspect
      parts = each_pair.filter_map { |name, value| "#{name}=#{value.inspect}" unless value.nil? }
      "#<#{self.class} #{parts.join(", ")}>"
    end
    alias to_s inspect
  end
  private_constant :Frozen
end
