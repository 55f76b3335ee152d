# frozen_string_literal: true

desc "Write the completion of bash and zsh from the flags and the templates in contrib/completion"
task completion: :compile do
  require_relative "lib/completion"
  Completion.files.each { |name, text| File.write(File.join(Completion::DIR, name), text) }
end
