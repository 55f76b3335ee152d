# frozen_string_literal: true

require_relative "lib/arm64"
require_relative "lib/debian_folder"
require_relative "lib/matrix"

desc "Run bin/test here and on other Debian releases in folders, and report the coverage (an hour the first time)"
task :matrix do
  Matrix.report(Matrix.here, *Matrix::SUITES.map { |suite| Matrix.in_folder(suite) })
end

namespace :matrix do
  desc "Run bin/test on this machine, and report the coverage"
  task(:here) { Matrix.report(Matrix.here) }

  Matrix::SUITES.each do |suite|
    desc "Run bin/test on Debian #{suite} in a folder, and report the coverage"
    task(suite) { Matrix.report(Matrix.in_folder(suite)) }
  end

  desc "Cross-build the precompiled gem for arm64, and try it on Debian 13 in QEMU (an hour; not part of `rake matrix`)"
  task :arm64 do
    obstacle = Arm64.missing and abort "rake matrix:arm64: #{obstacle}"
    folder = Arm64Folder.new
    abort "rake matrix:arm64: debootstrap or apt-get failed in #{folder.dir}" unless folder.make

    results = Arm64.try(folder, Arm64.build(folder), Arm64.tests(folder))
    puts(results.map { |title, passed| "#{title}: #{passed ? "passed" : "FAILED"}" })
    abort unless results.values.all?
  end
end
