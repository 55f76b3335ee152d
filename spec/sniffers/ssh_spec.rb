# frozen_string_literal: true

RSpec.describe "ProxyMachine::SSH.banner" do
  def banner(data)
    ProxyMachine::SSH.banner(data)
  end

  it_behaves_like "a sniffer", ->(data) { ProxyMachine::SSH.banner(data) }, "ssh/openssh" => 40

  it "parses the line of a real client" do
    found = banner(Capture.read("ssh/openssh"))
    expect(found).to have_attributes(version: "2.0", software: "OpenSSH_9.2p1", comments: "Debian-2+deb12u6", size: 40)
    expect({ "OpenSSH_9.2p1" => 1 }[found.software]).to eq 1
  end

  it "accepts the lines of other clients" do
    expect(banner("SSH-2.0-Go\r\n")).to have_attributes(software: "Go", comments: nil, size: 12)
    expect(banner("SSH-1.99-JSCH-0.1.54\n")).to have_attributes(version: "1.99", software: "JSCH-0.1.54")
    expect(banner("SSH-2.0-a \xFF\r\n".b).comments).to eq "\xFF".b
  end

  it "returns nil for a malformed or overlong line" do
    ["SSH-2.0\n", "SSH-x-y\n", "SSH-2.0-a\0", "SSH-2.0-#{"a" * 247}", "SSL"].each do |line|
      expect(banner(line)).to be_nil
    end
  end
end
