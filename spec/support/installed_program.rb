# frozen_string_literal: true

# An installation in a directory named after the version, with a symbolic link to it. An update creates another
# directory with its own binary and moves the link.
class InstalledProgram
  ROOT = File.expand_path("../..", __dir__)
  private_constant :ROOT

  attr_reader :link

  def initialize(dir)
    @dir = dir
    @link = File.join(dir, "current")
    update("2.0.0")
  end

  # The command that runs the version that the link points to.
  def command
    [RbConfig.ruby, "-I", File.join(link, "lib"), File.join(link, "exe", "proxymachine")]
  end

  def update(version)
    place = File.join(@dir, version)
    FileUtils.mkdir_p(place)
    %w[exe lib].each { |part| FileUtils.cp_r(File.join(ROOT, part), place) }
    File.write(File.join(place, "lib/proxymachine/version.rb"), "class ProxyMachine; VERSION = #{version.dump}; end\n")
    # Appends the version, so that the binary differs as another build would. The loader ignores bytes after the
    # sections.
    File.write(File.join(place, "lib/proxymachine/proxymachine.so"), version, mode: "ab")
    File.symlink(place, "#{link}.new")
    File.rename("#{link}.new", link)
  end
end
