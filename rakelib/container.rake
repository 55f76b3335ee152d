# frozen_string_literal: true

require_relative "lib/container_image"

desc "Build the image of Containerfile with buildah, and try it with runc (half an hour the first time)"
task container: ["container:build", "container:try"]

namespace :container do
  task :build do
    obstacle = ContainerImage.missing and abort "rake container: #{obstacle}"
    name = ContainerImage.build
    ContainerImage.unpack(name)
    puts "container: #{name}"
  end

  desc "Try the image that `rake container` has built"
  task :try do
    sh({ "CONTAINER" => "1" }, "ruby", "-S", "rspec", "spec/packaging/container_image_spec.rb")
  end
end
