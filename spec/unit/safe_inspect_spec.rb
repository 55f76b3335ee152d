# frozen_string_literal: true

require_relative "../../lib/proxymachine/safe_inspect"

RSpec.describe ProxyMachine::SafeInspect do
  it "truncates long Strings, also within a Hash" do
    long = "x" * 200
    expect(described_class.inspect(long)).to eq "#{("x" * 100).inspect}... (200 bytes)"
    expect(described_class.inspect({ close: long })).to include "... (200 bytes)"
    expect(described_class.inspect("short")).to eq '"short"'
  end

  it "truncates a long description" do
    expect(described_class.inspect(Array.new(1000, 7)).length).to eq 1003
  end

  it "describes an object whose inspect raises" do
    object = Class.new { def inspect = raise("no") }.new
    expect(described_class.inspect(object)).to eq "(an object that cannot be inspected)"
    expect(described_class.inspect(BasicObject.new)).to eq "(an object that cannot be inspected)"
  end

  it "returns valid UTF-8" do
    expect(described_class.text("") { "\xff\xfe" }).to be_valid_encoding
    expect(described_class.text("") { "wide".encode("UTF-16LE") }).to eq "wide"
  end

  it "takes bytes of encodings that Ruby cannot convert for UTF-8" do
    %w[UTF-7 ISO-2022-JP-2].each do |encoding|
      text = "caf\u00e9 \xff".dup.force_encoding(encoding)
      expect(described_class.utf8(text).b).to eq text.b
      expect(described_class.text("") { text }).to eq "caf\u00e9 \ufffd"
    end
  end

  it "does not rescue an exit" do
    expect { described_class.text("") { exit 3 } }.to raise_error(SystemExit)
  end
end
