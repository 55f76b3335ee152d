# frozen_string_literal: true

class ProxyMachine
  # For the Structs that the sniffers answer: they cannot be changed, and show what is there. The extension
  # makes them, of Strings, Arrays and Hashes that are frozen, too.
  module Frozen
    def initialize(*)
      super
      freeze
    end

    def inspect
      parts = each_pair.filter_map { |name, value| "#{name}=#{value.inspect}" unless value.nil? }
      "#<#{self.class} #{parts.join(", ")}>"
    end
    alias to_s inspect
  end
  private_constant :Frozen
end
