# frozen_string_literal: true

# Nothing that a reload waits for holds up decisions or the end of the server.
RSpec.describe "A reload that waits" do
  let(:serving) { "proxy { |data| { :close => \"served \#{data}\" } }\n" }

  def reload(config)
    File.write(proxy.config_path, config)
    proxy.mark_log
    proxy.signal("HUP")
  end

  shared_examples "a reload that holds up nothing" do
    it "holds up no decision" do
      20.times { expect(ask("x", proxy)).to eq "served x" }
      expect(proxy.lines.grep(/eload/)).to be_empty # It still waits.
    end

    it "holds up no end of the server" do
      proxy.signal("TERM")
      expect(proxy.wait(within: 20)).to be_success
      expect(proxy.recent_log).not_to match(/Reloaded|Cannot reload/)
    end
  end

  context "for a silent name server" do
    in_network_namespace
    before(:context) do
      missing = Resolver.missing
      skip missing if missing
      @files = Dir.mktmpdir("proxymachine-spec")
      @through = Resolver.through("127.0.0.1", @files, timeout: 30)
    end
    after(:context) { FileUtils.rm_rf(@files) if @files }

    running(:name_server) { NameServer.new("127.0.0.1") }
    let(:proxy) { ProxyProcess.start(serving, through: @through) }

    before do
      before = name_server.queried.size
      reload("#{serving}listen 'never.test:1'")
      eventually { expect(name_server.queried.size).to be > before }
    end

    it_behaves_like "a reload that holds up nothing"
  end
end
