# frozen_string_literal: true

require_relative "debian_folder"

# Debian's experimental is no release, but a few packages for sid. This folder is sid with experimental's newest Ruby.
class ExperimentalFolder < DebianFolder
  RUBY = "ruby3.4"

  def initialize(**options)
    super("experimental", **options)
  end

  private

  def bootstrap
    super("sid")
  end

  def settle
    super && add_ruby
  end

  def renew
    super && add_ruby
  end

  # Makes its Ruby the one that "ruby" starts, for programs with #!/usr/bin/ruby, too.
  def add_ruby
    File.write("#{dir}/etc/apt/sources.list.d/#{suite}.list", "deb #{DebianFolder.mirror} #{suite} main\n")
    inside("apt-get", "-qq", "update") &&
      inside("apt-get", "-qq", "-y", "--no-install-recommends", "-t", suite, "install", "ruby", RUBY, "#{RUBY}-dev") &&
      inside("ln", "-sf", RUBY, "/usr/bin/ruby")
  end
end
