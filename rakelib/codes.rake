# frozen_string_literal: true

desc "Write the tables of termination codes in docs/logs.md from the engine's table"
task codes: :compile do
  require_relative "lib/termination_codes"
  text = TerminationCodes.page
  File.write(TerminationCodes::PAGE, text)
end
