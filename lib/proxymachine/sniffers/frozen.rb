# frozen_string_literal: true

class ProxyMachine
  # For the Structs that the sniffers answer: they cannot be changed, and show what is there. The extension
  # makes them, of Strings, Arrays and Hashes that are frozen, too.
  module Frozen
    # As Struct, but frozen.
    def initialize(*)
      super
      freeze
    end

    # @return [String] the class and what is not nil
    def inspect
      parts = each_pair.filter_map { |name, value| "#{name}=#{value.inspect}" unless value.nil? }
      "#<#{self.class} #{parts.join(", ")}>"
    end
    alias to_s inspect
  end
  private_constant :Frozen
end
