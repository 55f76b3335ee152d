# frozen_string_literal: true

require_relative "lib/pictures"

desc "Write all pictures in docs/images"
task pictures: %w[pictures:costs pictures:diagrams pictures:status]

namespace :pictures do
  desc "Draw docs/images/costs.svg from the newest report in bench/reports"
  task(:costs) { Pictures.write(Pictures::CHARTS) }

  desc "Draw docs/images/threads.svg and connection.svg"
  task(diagrams: "^compile") { Pictures.write(Pictures::DIAGRAMS) }

  desc "Take screenshots of the status page, light and dark, after a minute of traffic"
  task :status do
    require_relative "lib/pictures/status_page"
    %w[eventually resource_tracking browser].each { |name| require_relative "../spec/support/#{name}" }
    Pictures::StatusPage.new.shoot do |scheme, png|
      File.binwrite(File.join(Pictures::FOLDER, "status-#{scheme}.png"), png)
    end
  end
end
