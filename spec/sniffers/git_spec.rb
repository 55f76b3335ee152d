# frozen_string_literal: true

RSpec.describe "ProxyMachine::Git.request" do
  def request(data)
    ProxyMachine::Git.request(data)
  end

  it_behaves_like "a sniffer", ->(data) { ProxyMachine::Git.request(data) },
                  "git/fetch" => 71, "git/fetch_version0" => 60, "git/push" => 61, "git/archive" => 63

  it "parses the request of a real client" do
    found = request(Capture.read("git/fetch"))
    expect(found).to have_attributes(command: "git-upload-pack", host: "127.0.0.1", port: be_an(Integer),
                                     parameters: { "version" => "2" }, size: 71)
    expect({ "/alice/project.git" => 1 }[found.path]).to eq 1
    expect(request(Capture.read("git/push"))).to have_attributes(command: "git-receive-pack", parameters: {})
    expect(request(Capture.read("git/archive")).command).to eq "git-upload-archive"
  end

  it "parses the example of gitprotocol-pack" do
    data = "git-upload-pack /project.git\0host=myserver.com\0\0version=2\0"
    expect(request("003e#{data}"))
      .to have_attributes(path: "/project.git", host: "myserver.com", port: nil, parameters: { "version" => "2" })
  end

  it "accepts a request without a host, and a parameter without a value" do
    expect(request("001egit-upload-pack /p\0\0novel\0")).to have_attributes(host: nil, parameters: { "novel" => "" })
  end

  it "returns the path in UTF-8 if it is valid, otherwise binary" do
    expect(request("0016git-upload-pack \u00E9").path).to eq "\u00E9"
    expect(request("0015git-upload-pack \xE9".b).path).to eq "\xE9".b
  end

  it "returns the host in its normal form, and the authority as written" do
    data = "git-upload-pack /p\0host=Blue-.TEST.:09418\0"
    expect(request("#{format("%04x", data.bytesize + 4)}#{data}"))
      .to have_attributes(host: "blue-.test", port: 9418, authority: "Blue-.TEST.:09418")
  end

  it "returns nil for other commands" do
    expect(request("003egit-x")).to be_nil
    expect(request("0000")).to be_nil
  end
end
