# frozen_string_literal: true

require "open3"
require_relative "../../rakelib/lib/termination_codes"

# `proxymachine explain` says what a termination code means.
RSpec.describe "proxymachine explain" do
  def explain(*codes)
    out, err, status = Open3.capture3(*ProxyProcess.command, "explain", *codes)
    [out, err, status.exitstatus]
  end

  it "says of a code what it means, why it occurs and what to do" do
    out, err, status = explain("sC")
    expect([err, status]).to eq ["", 0]
    expect(out).to match(/\AsC: no backend could be connected: .* \(an error\)$/)
      .and match(/^  cause:  .+\n  remedy: .*nc -vz HOST PORT/)
  end

  it "explains several codes, those in ordinary use too, without Markdown" do
    out, _, status = explain("--", "RC")
    expect(status).to eq 0
    expect(out).to match(/\A--: .* \(occurs in ordinary use\)$/).and match(%r{^RC: .*\n.*\n.* docs/tuning\.md$})
    expect(out).not_to match(/[`\[\]]/)
  end

  it "lists all codes, and marks those of errors" do
    out, err, status = explain
    expect([err, status]).to eq ["", 0]
    codes = TerminationCodes.all
    expect(out.lines.map { |line| line[0, 2] }).to eq codes.keys
    expect(out.lines.grep(/  error$/).map { |line| line[0, 2] }).to eq(codes.select { |_, code| code[:is_error] }.keys)
  end

  it "refuses an unknown code with status 2, and names similar ones" do
    expect(explain("sc")).to match ["", /\Aproxymachine: no termination code "sc": did you mean SC or sC\?$/, 2]
    expect(explain("SC", "Z\xFF")).to match ["", /\A.*: no termination code .*: proxymachine explain lists all$/, 2]
  end
end
