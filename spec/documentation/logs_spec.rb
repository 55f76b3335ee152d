# frozen_string_literal: true

require_relative "../../rakelib/lib/termination_codes"

RSpec.describe "docs/logs.md" do
  documents("docs/logs.md")

  it "has the engine's termination codes: `rake codes` would write the same" do
    expect(page).to eq TerminationCodes.page
    expect(page.scan(/^\| `(..)` \|/).flatten).to eq TerminationCodes.all.keys
  end

  it "says of each code what happened, why, and what to do" do
    texts = TerminationCodes.all.values.flat_map { |code| code.values_at(:meaning, :cause, :cure) }
    expect(texts).to all match(/\A[`:\w].*[^.]\z/)
    expect(texts.grep(/\|/)).to be_empty
  end
end
