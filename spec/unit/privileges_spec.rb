# frozen_string_literal: true

require_relative "../../lib/proxymachine/errors"
require_relative "../../lib/proxymachine/config/privileges"

RSpec.describe ProxyMachine::Config::Privileges do
  subject(:privileges) { described_class.new }

  let(:nobody) { Etc.getpwnam("nobody") }

  it "has no ids without a user and a group" do
    privileges.run_as(nil, nil)
    expect(privileges.ids).to eq({})
  end

  it "has the user's own group by default" do
    privileges.run_as("nobody", nil)
    expect(privileges.ids).to eq(user: nobody.uid, group: nobody.gid)
  end

  it "has the given group" do
    privileges.run_as("nobody", Etc.getgrgid(0).name)
    expect(privileges.ids).to eq(user: nobody.uid, group: 0)
  end

  it "rejects unknown users and groups" do
    expect { privileges.run_as("no-such-user", nil) }
      .to raise_error(ProxyMachine::ConfigError, /\Acannot run as no-such-user: /)
    expect { privileges.run_as(nil, "no-such-group") }.to raise_error(ProxyMachine::ConfigError, /no-such-group/)
  end
end
