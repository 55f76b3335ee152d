# frozen_string_literal: true

# Loaded by each server of the specs under `rake types`: a call that violates sig/proxymachine.rbs raises. Methods that
# take a block are not checked, because the checker passes on another block, which takes any arguments. Arguments and
# answers of blocks are checked where the gem calls them: see handler.rbs.
require "rbs"
require "rbs/test"
require "proxymachine"
require "proxymachine/extension"

RBS.logger_level = "warn"
FOLDERS = [File.expand_path("../../sig", __dir__), __dir__].freeze
loader = RBS::EnvironmentLoader.new
%w[logger openssl pathname socket].each { |name| loader.add(library: name) }
FOLDERS.each { |folder| loader.add(path: Pathname(folder)) }
env = RBS::Environment.from_loader(loader).resolve_type_names
builder = RBS::DefinitionBuilder.new(env: env)

name_of = lambda do |owner|
  *outer, name = owner.to_s.split("::").map(&:to_sym)
  RBS::TypeName.new(name: name, namespace: RBS::Namespace.new(path: outer, absolute: true))
end

checked = lambda do |owner|
  nested = owner == Kernel ? [] : owner.constants(false).map { |name| owner.const_get(name) }.grep(Module)
  [owner, *nested.flat_map(&checked)].select { |found| env.class_decls.key?(name_of[found]) }
end

# The names of the methods that our signature files describe and that this module defines.
described = lambda do |definition, place|
  own = place.instance_methods(false) + place.private_instance_methods(false)
  definition.methods.slice(*own).reject { |_, method| method.method_types.any?(&:block) }.select do |_, method|
    file = method.defs.last.member.location.buffer.name.to_s
    FOLDERS.any? { |folder| file.start_with?(folder) }
  end.keys
end

[Kernel, ProxyMachine, ProxyMachine::Server::Handler].flat_map(&checked).uniq.each do |owner|
  { instance: owner, singleton: owner.singleton_class }.each do |kind, place|
    definition = builder.public_send("build_#{kind}", name_of[owner])
    key = "#{owner} #{kind}"
    tester = RBS::Test::Tester::MethodCallTester.new(place, builder, definition, kind: kind, sample_size: 100,
                                                                                 unchecked_classes: [])
    RBS::Test::Observer.register(key, tester)
    hook = RBS::Test::Hook.method("hook_#{kind}_method")
    described[definition, place].each { |name| hook.call(owner, name, key: key) }
  end
end
