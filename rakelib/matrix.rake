# frozen_string_literal: true

require_relative "lib/debian_folder"
require_relative "lib/matrix"

desc "Run bin/test on this machine and on other Debians in folders, and say what was covered (an hour the first time)"
task :matrix do
  Matrix.report(Matrix.here, *Matrix::SUITES.map { |suite| Matrix.in_folder(suite) })
end

namespace :matrix do
  desc "Run bin/test on this machine, and say what was covered"
  task(:here) { Matrix.report(Matrix.here) }

  Matrix::SUITES.each do |suite|
    desc "Run bin/test on Debian #{suite} in a folder, and say what was covered"
    task(suite) { Matrix.report(Matrix.in_folder(suite)) }
  end
end
