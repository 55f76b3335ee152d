# frozen_string_literal: true

require "json"
require_relative "../../lib/proxymachine/log/json_formatter"

RSpec.describe ProxyMachine::Log::JsonFormatter do
  def line(message)
    described_class.new.call("INFO", Time.utc(2026, 1, 2, 3, 4, 5.5), nil, message)
  end

  it "writes one JSON object per line" do
    expect(JSON.parse(line("two\nlines"))).to eq("time" => "2026-01-02T03:04:05.500000Z", "level" => "INFO",
                                                 "pid" => Process.pid, "message" => "two\nlines")
    expect(line("two\nlines").count("\n")).to eq 1
  end

  it "inspects messages that are not Strings, and replaces invalid bytes" do
    expect(JSON.parse(line(:symbol))["message"]).to eq ":symbol"
    expect(JSON.parse(line("\xff"))["message"]).to eq "\u{fffd}"
  end
end
