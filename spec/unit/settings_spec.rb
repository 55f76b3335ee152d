# frozen_string_literal: true

require_relative "../../lib/proxymachine/errors"
require_relative "../../lib/proxymachine/safe_inspect"
require_relative "../../lib/proxymachine/config/settings"

RSpec.describe ProxyMachine::Config::Settings do
  subject(:settings) { described_class.new }

  def error(name, value)
    settings.set(name, value)
    nil
  rescue ProxyMachine::ConfigError => e
    e.message
  end

  it "has a default for each setting" do
    expect(settings.to_h).to include(threads: 1, max_connections: nil, half_closed_timeout: 60.0, log_format: :text)
  end

  it "reads a count from an Integer, a whole Float and a String" do
    [16, 16.0, "16"].each do |value|
      settings.set(:threads, value)
      expect(settings.to_h[:threads]).to eq 16
    end
  end

  it "rejects a count that is not a whole number above 0" do
    [0, -1, 1.5, "many", nil, Object.new].each do |value|
      expect(error(:threads, value)).to start_with "threads takes a whole number above 0, not "
    end
    [2**31, "4294967296"].each do |value|
      expect(error(:threads, value)).to start_with "threads takes a whole number up to 2147483647, not "
    end
  end

  it "reads seconds as a Float, and 0, nil and false as no limit" do
    { 5 => 5.0, "2.5" => 2.5, 0 => nil, nil => nil, false => nil }.each do |value, expected|
      settings.set(:idle_timeout, value)
      expect(settings.to_h[:idle_timeout]).to eq expected
    end
  end

  it "rejects seconds that are negative, infinite or not a number" do
    [-1, Float::INFINITY, Float::NAN, "soon", []].each do |value|
      expect(error(:idle_timeout, value)).to start_with "idle_timeout takes a number of seconds (0 is no limit), not "
    end
  end

  it "completes an address that is only a port with the loopback" do
    { 9432 => "127.0.0.1:9432", ":9432" => "127.0.0.1:9432", "[::1]:1" => "[::1]:1", "unix:/run/a" => "unix:/run/a",
      nil => nil }.each do |value, expected|
      settings.set(:admin, value)
      expect(settings.to_h[:admin]).to eq expected
    end
    expect(error(:admin, "nowhere")).to start_with "admin takes an address such as "
  end

  it "expands the path of a file, except -" do
    { "log" => File.expand_path("log"), "-" => "-", nil => nil }.each do |value, expected|
      settings.set(:access_log, value)
      expect(settings.to_h[:access_log]).to eq expected
    end
    expect(error(:access_log, "")).to start_with "access_log takes the path of a file, or - "
  end

  it "reads a word from a Symbol and a String" do
    [:json, "json"].each do |value|
      settings.set(:log_format, value)
      expect(settings.to_h[:log_format]).to eq :json
    end
    expect(error(:log_format, :xml)).to eq "log_format takes one of text, json, not :xml"
  end

  it "prefers the command line to the config" do
    settings.override(:threads, "4")
    settings.set(:threads, 8)
    expect(settings.to_h[:threads]).to eq 4
    expect(settings.command_line_only.to_h[:threads]).to eq 4
  end
end
