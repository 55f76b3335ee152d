# frozen_string_literal: true

# CONTRACT 2: the kinds of blocks.
RSpec.describe "Proxy block arity:" do
  {
    "without parameters" => "proxy { { :close => 'called' } }",
    "without parameters, of explicit arity 0" => "proxy { || { :close => 'called' } }",
    "with one parameter" => "proxy { |data| { :close => 'called' } }",
    "with the client as a second parameter" => "proxy { |data, client| { :close => client.ip && 'called' } }",
    "with more parameters than it is given" => "proxy { |data, client, more| { :close => more.nil? && 'called' } }",
    "with a splat" => "proxy { |*all| { :close => all.size == 1 ? 'called' : 'odd' } }",
    "with an optional parameter" => "proxy { |data, more = 'called'| { :close => more } }",
    "with a numbered parameter" => "proxy { { :close => _1 == 'x' ? 'called' : 'odd' } }",
    "that is a lambda of arity 1" => "proxy(&lambda { |data| { :close => 'called' } })",
    "that is a method of arity 1" => "def route(data) { :close => 'called' } end\nproxy(&method(:route))"
  }.each do |kind, config|
    it "works #{kind}" do
      expect(ask("x", ProxyProcess.start(config))).to eq "called"
    end
  end
end
