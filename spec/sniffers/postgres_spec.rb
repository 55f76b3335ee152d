# frozen_string_literal: true

RSpec.describe "ProxyMachine::Postgres.startup" do
  ssl_request = [8, 80_877_103].pack("NN")
  gssenc_request = [8, 80_877_104].pack("NN")
  cancel = [16, 80_877_102, 12_345, 0xDEADBEEF].pack("N4")

  def startup(data)
    ProxyMachine::Postgres.startup(data)
  end

  def message(*words)
    content = words.map { |word| "#{word}\0" }.join.b
    [content.bytesize + 9, 3, 0, content, 0].pack("Nnna*C")
  end

  it_behaves_like "a sniffer", ->(data) { ProxyMachine::Postgres.startup(data) }, "postgres/psql" => 56

  it "returns user and database as Strings that are Hash keys like literals" do
    found = startup(Capture.read("postgres/psql"))
    expect(found).to have_attributes(user: "alice", version: "3.0", startup?: true, ssl_request?: false,
                                     gssenc_request?: false, cancel?: false, offset: 0, size: 56)
    expect({ "shop" => 1 }[found.database]).to eq 1
    expect(found.parameters).to eq("user" => "alice", "database" => "shop", "application_name" => "spec")
  end

  it "uses the user's name as the default of the database" do
    expect(startup(message("user", "bob")).database).to eq "bob"
  end

  it "returns nil for a message without a user" do
    expect(startup(message("database", "shop"))).to be_nil
  end

  it "returns values in UTF-8 if they are valid, otherwise binary" do
    expect(startup(message("user", "ren\u00E9")).user).to eq "ren\u00E9"
    expect(startup(message("user", "ren\xE9".b)).user).to eq "ren\xE9".b
  end

  it "returns a request for encryption until a byte follows it" do
    expect(startup(ssl_request)).to have_attributes(kind: :ssl_request, ssl_request?: true, user: nil, size: 8)
    expect(startup(gssenc_request)).to have_attributes(gssenc_request?: true, startup?: false)
    expect(startup("#{ssl_request}\0")).to eq :incomplete
    expect(startup("#{gssenc_request}#{ssl_request}")).to have_attributes(ssl_request?: true, offset: 8)
    expect(startup("#{ssl_request}#{ssl_request}")).to be_nil
    expect(startup("#{ssl_request}\x16\x03")).to be_nil
  end

  it "returns the message after the refused request for encryption of a real psql" do
    data = Capture.read("postgres/psql_ssl_refused")
    found = startup(data)
    expect(found).to have_attributes(startup?: true, user: "alice", offset: 8, size: data.bytesize - 8)
    expect(startup(data.byteslice(found.offset..))).to have_attributes(offset: 0, parameters: found.parameters)
    expect((9...data.bytesize).map { |count| startup(data[0, count]) }.uniq).to eq [:incomplete]
  end

  it "parses a cancel request" do
    expect(startup(cancel))
      .to have_attributes(cancel?: true, process_id: 12_345, key: "\xDE\xAD\xBE\xEF".b, user: nil, size: 16)
    expect((0...16).map { |count| startup(cancel[0, count]) }.uniq).to eq [:incomplete]
  end
end
