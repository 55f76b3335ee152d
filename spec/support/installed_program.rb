# frozen_string_literal: true

# The program as it is installed: in a directory of its version, to which a link leads. An update is another directory,
# with a binary of its own, and then the link leads there.
class InstalledProgram
  ROOT = File.expand_path("../..", __dir__)
  private_constant :ROOT

  attr_reader :link

  def initialize(dir)
    @dir = dir
    @link = File.join(dir, "current")
    update("2.0.0")
  end

  # The command that runs whatever is installed at that moment.
  def command
    [RbConfig.ruby, "-I", File.join(link, "lib"), File.join(link, "exe", "proxymachine")]
  end

  def update(version)
    place = File.join(@dir, version)
    FileUtils.mkdir_p(place)
    %w[exe lib].each { |part| FileUtils.cp_r(File.join(ROOT, part), place) }
    File.write(File.join(place, "lib/proxymachine/version.rb"), "class ProxyMachine; VERSION = #{version.dump}; end\n")
    # Another file with other bytes, as another build would be; what comes after its sections is not looked at.
    File.write(File.join(place, "lib/proxymachine/proxymachine.so"), version, mode: "ab")
    File.symlink(place, "#{link}.new")
    File.rename("#{link}.new", link)
  end
end
