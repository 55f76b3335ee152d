# frozen_string_literal: true

require_relative "../../rakelib/lib/debian_folder"

# The folders of `rake matrix` and of the package's trial, with a program in place of debootstrap.
RSpec.describe DebianFolder do
  before do
    skip DebianFolder.missing if DebianFolder.missing
    @parent = "tmp/folders-#{Process.pid}"
    FileUtils.mkdir_p("#{DebianFolder::ROOT}/#{@parent}/bin")
  end

  after do
    next unless @parent

    Dir["#{DebianFolder::ROOT}/#{@parent}/*/proc"].each { |dir| system("umount", "--lazy", dir, err: File::NULL) }
    FileUtils.rm_rf("#{DebianFolder::ROOT}/#{@parent}")
  end

  # Makes a folder with a script as debootstrap, whose last arguments are the release, the folder and the mirror.
  def make(script)
    bin = "#{DebianFolder::ROOT}/#{@parent}/bin"
    File.write("#{bin}/debootstrap", "#!/bin/sh\nset -e\nshift $(($# - 2))\n#{script}", perm: 0o755)
    folder = Class.new(described_class) { define_method(:settle) { true } }.new("made", parent: @parent)
    path = ENV.fetch("PATH")
    ENV["PATH"] = "#{bin}:#{path}"
    expect(folder.make).to be_truthy
    folder
  ensure
    ENV["PATH"] = path
  end

  it "leaves nothing mounted, even if debootstrap does" do
    folder = make(<<~'SH')
      mkdir "$1/proc"
      mount -t proc proc "$1/proc"
      test -e "$1/proc/mounts"
    SH
    expect(File.read("/proc/mounts")).not_to include(folder.dir)
    expect(Dir.children("#{folder.dir}/proc")).to eq []
  end

  it "copies the folder's own files, but not what is mounted in it" do
    folder = make(%(mkdir "$1/proc"; touch "$1/file"))
    expect(system("mount", "-t", "tmpfs", "tmpfs", "#{folder.dir}/proc")).to be true
    File.write("#{folder.dir}/proc/mounted", "")
    copy = described_class.new("copy", parent: @parent)
    expect(copy.copy(folder)).to be true
    expect(Dir.children(copy.dir)).to include("file", "proc")
    expect(Dir.children("#{copy.dir}/proc")).to eq []
  end
end
