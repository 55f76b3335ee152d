# frozen_string_literal: true

# The sniffers need no server, so that their specs call them in this process. The first call loads the extension.
require_relative "../../lib/proxymachine/sniffers"

# Bytes that real clients sent: the corpus of the fuzz targets.
module Capture
  def self.read(name)
    File.binread(File.join(ProxyProcess::ROOT, "ext", "sniff", "fuzz", "corpus", name))
  end
end

# `sniff` calls the sniffer. `captures` maps names of captures to the number of bytes that each message has.
RSpec.shared_examples "a sniffer" do |sniff, captures|
  whole = captures.keys.first
  foreign = "\xFFfoo".b

  captures.each do |name, size|
    it "returns :incomplete until all of #{name} has arrived, and ignores the bytes after it" do
      data = Capture.read(name)[0, size]
      expect((0...size).map { |count| sniff.call(data[0, count]) }.uniq).to eq [:incomplete]
      expect(sniff.call(data)).not_to be_nil
      expect(sniff.call(data + "\0\xFF and more".b)).to eq sniff.call(data)
    end
  end

  it "returns nil at the first byte of another protocol" do
    expect(sniff.call(foreign[0])).to be_nil
    expect(sniff.call(foreign)).to be_nil
  end

  it "accepts a String of any encoding, frozen or of a subclass, and does not change it" do
    data = Capture.read(whole)
    expected = sniff.call(data)
    [Encoding::UTF_8, Encoding::US_ASCII, Encoding::UTF_16LE, Encoding::Shift_JIS].each do |encoding|
      given = data.dup.force_encoding(encoding)
      expect(sniff.call(given)).to eq expected
      expect([given.b, given.encoding]).to eq [data, encoding]
    end
    expect(sniff.call(data.dup.freeze)).to eq expected
    expect(sniff.call(Class.new(String).new(data))).to eq expected
  end

  it "returns a frozen value that does not share memory with the String" do
    data = Capture.read(whole)
    answer = sniff.call(data)
    data.replace("\0" * data.bytesize)
    expect(answer).to eq sniff.call(Capture.read(whole))
    expect(answer.hash).to eq sniff.call(Capture.read(whole)).hash
    expect(answer.to_a.flat_map { |part| part.is_a?(Enumerable) ? [part, *part.to_a.flatten] : [part] } + [answer])
      .to all be_frozen
  end

  it "returns a value whose inspect shows its fields" do
    expect(sniff.call(Capture.read(whole)).inspect).to match(/\A#<ProxyMachine::\w+::\w+ \w+=.+>\z/)
  end

  [nil, 1, :incomplete, ["GET"], Object.new, BasicObject.new].each do |other|
    it "raises a TypeError for #{other.class rescue "a BasicObject"}" do # rubocop:disable Style/RescueModifier
      expect { sniff.call(other) }.to raise_error(TypeError, /expected the bytes received so far, a String, not an /)
    end
  end

  it "allocates no object for incomplete data or another protocol" do
    data = Capture.read(whole)[0, captures[whole] - 1]
    [data, foreign].each do |bytes|
      created = lambda do |count|
        before = GC.stat(:total_allocated_objects)
        count.times { sniff.call(bytes) }
        GC.stat(:total_allocated_objects) - before
      end
      created.call(10)
      expect(created.call(1000)).to be < 100 # fewer than one per call; the measurement itself allocates a few
    end
  end

  it "returns the same value from several threads while the garbage collector runs" do
    data = Capture.read(whole)
    expected = sniff.call(data)
    threads = Array.new(4) do
      Thread.new { Array.new(500) { |turn| GC.start if (turn % 100).zero? || sniff.call(data.dup) != expected } }
    end
    expect(threads.flat_map(&:value).uniq).to eq [nil]
  end

  it "returns the same value under GC.stress" do
    data = Capture.read(whole)
    expected = sniff.call(data)
    GC.stress = true
    begin
      answer = sniff.call(data)
    ensure
      GC.stress = false
    end
    expect(answer).to eq expected
  end
end
