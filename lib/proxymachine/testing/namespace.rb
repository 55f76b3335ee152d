# frozen_string_literal: true

require_relative "fallback"

class ProxyMachine
  module Testing
    # An anonymous module for the constants, methods and classes of one loaded config. The server loads a config at top
    # level. A config notices no difference: a class that the program has already is reopened and not defined anew, the
    # methods of the config can be called in its classes, and `load` loads a part of the config into the same module.
    # @api private
    class Namespace
      # A name after class or module. A match in a comment or a String does no harm.
      DEFINITION = /\b(?:class|module)\s+([A-Z]\w*)/n
      private_constant :DEFINITION

      # @return [Module]
      attr_reader :scope

      def initialize
        @scope = Module.new
        @prefix = "#{@scope.inspect}::"
        @fallback = Fallback.for(@scope)
        @names = []
        define_load
      end

      # Loads a file into the module.
      # @param path [String]
      # @return [true]
      def load(path)
        @names |= File.binread(path).scan(DEFINITION).flatten if File.file?(path)
        adopt_classes
        trace_classes { Kernel.load(path, @scope) }
      ensure
        cover(@scope)
      end

      private

      def define_load
        namespace = self
        @scope.define_method(:load) { |path, wrap = false| wrap ? super(path, wrap) : namespace.load(path) }
        @scope.send(:private, :load)
      end

      # Lets classes of the program be found in the module, so that `class String` reopens the String of all.
      def adopt_classes
        @names.each do |name|
          next if @scope.const_defined?(name, false) || !Object.const_defined?(name)

          value = Object.const_get(name)
          @scope.const_set(name, value) if value.is_a?(Module) && in_server?(name)
        end
      end

      # Whether the server would have the class, too: it is Ruby's, or from a file that was required. The classes of a
      # test file, which was loaded or is the program itself, are not meant.
      def in_server?(name)
        file, = Object.const_source_location(name)
        file.nil? || !File.absolute_path?(file) || $LOADED_FEATURES.include?(file)
      end

      # Looks at each class that is opened: it may be one of the config, or a required file may have defined it.
      def trace_classes(&block)
        thread = Thread.current
        trace = TracePoint.new(:class, :end) do |point|
          next unless thread.equal?(Thread.current)

          adopt_classes
          Fallback.add(@fallback, point.self) if own?(point.self)
        end
        trace.enable(&block)
      end

      # Adds the fallback to classes that were made without `class`, such as a Struct.
      def cover(parent)
        parent.constants(false).each do |name|
          next if parent.autoload?(name)

          value = parent.const_get(name, false)
          next unless Module === value && own?(value) # rubocop:disable Style/CaseEquality -- may be a BasicObject

          Fallback.add(@fallback, value)
          cover(value)
        end
      end

      # Whether a class is one of the config: its name begins with that of the module.
      def own?(value)
        Module.instance_method(:name).bind_call(value)&.start_with?(@prefix)
      end
    end
  end
end
