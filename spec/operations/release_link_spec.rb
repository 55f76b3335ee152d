# frozen_string_literal: true

# A program that was started in a directory by a link to a release follows the link at each reload, as an upgrade does.
RSpec.describe "A release behind a link:" do
  let(:root) { File.realpath(Dir.mktmpdir("proxymachine-spec")) }

  before do
    %w[one two].each { |name| release(name) }
    File.symlink("releases/one", "#{root}/current")
  end

  after { FileUtils.rm_rf(root) }

  # The router takes parts of itself from files of its release.
  def release(name)
    path = "#{root}/releases/#{name}"
    FileUtils.mkdir_p("#{path}/lib")
    File.write("#{path}/config.rb", <<~RUBY)
      $LOAD_PATH.unshift("lib") unless $LOAD_PATH.include?("lib")
      load "./part.rb"
      TEXT = [PART, File.read("text"), File.basename(__dir__)].join(" ")
      access_log "access.log"
      proxy { { :close => TEXT } }
    RUBY
    File.write("#{path}/part.rb", "PART = #{name.inspect}")
    File.write("#{path}/text", name)
  end

  def move_link(name)
    File.symlink("releases/#{name}", "#{root}/next")
    File.rename("#{root}/next", "#{root}/current")
  end

  def start(*arguments, directory: "#{root}/current", config: "config.rb")
    @proxy = Child.new({ "PWD" => directory }, *ProxyProcess.command, "-c", config, "-h", "127.0.0.1", "-p", "0",
                       *arguments, chdir: directory)
    @port = eventually { @proxy.stdout[/Listening on 127\.0\.0\.1:(\d+)\.?$/, 1] }.to_i
  end

  def answer
    Client.new(@port).write("x").read_all
  end

  def reload(expected)
    @proxy.mark_log
    @proxy.signal("HUP")
    eventually { @proxy.recent_log[expected] }
  end

  { "one process" => [], "workers" => ["--workers", "2"] }.each do |what, arguments|
    it "a reload of #{what} loads the release that the link leads to, and says which" do
      start(*arguments)
      expect(answer).to eq "one one one"
      move_link("two")
      reload(%r{Reloaded #{root}/current/config\.rb \(#{root}/releases/two/config\.rb\)\.})
      eventually { answer == "two two two" } # Old workers accept for another moment.
      @proxy.signal("QUIT")
      @proxy.wait
      expect(File.size("#{root}/releases/two/access.log")).to be_positive
    end

    it "a reload of #{what} that fails keeps the release, and its directory" do
      start(*arguments)
      File.write("#{root}/releases/two/config.rb", "raise 'oh'")
      move_link("two")
      reload(%r{Cannot reload #{root}/current/config\.rb \(#{root}/releases/two/config\.rb\): .*oh})
      expect(File.readlink("/proc/#{@proxy.pid}/cwd")).to eq "#{root}/releases/one"
      expect(answer).to eq "one one one"
    end

    it "#{what} go on if the old release is deleted" do
      start(*arguments)
      move_link("two")
      FileUtils.rm_rf("#{root}/releases/one")
      reload(/Reloaded/)
      eventually { answer == "two two two" }
    end

    it "#{what} in a directory that was deleted load a config that is elsewhere" do
      path = "#{root}/releases/one"
      File.write("#{root}/releases/two/other.rb", "proxy { { :close => 'other' } }")
      start(*arguments, directory: path, config: "#{root}/releases/two/other.rb")
      FileUtils.rm_rf(path)
      reload(/Reloaded/)
      eventually { answer == "other" }
    end
  end

  it "a config that changes the directory itself keeps it" do
    File.write("#{root}/releases/one/config.rb", "Dir.chdir('/')\nproxy { { :close => Dir.pwd } }")
    start
    reload(/Reloaded/)
    expect(answer).to eq "/"
  end

  it "the pidfile is removed from the directory in which it was written" do
    start("--pidfile", "pid")
    move_link("two")
    reload(/Reloaded/)
    @proxy.signal("QUIT")
    @proxy.wait
    expect(Dir["#{root}/releases/*/pid"]).to be_empty
  end
end
