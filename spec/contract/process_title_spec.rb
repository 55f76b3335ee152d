# frozen_string_literal: true

# CONTRACT 7: the process title, as ps shows it.
RSpec.describe "Process title:", :process_title do
  # A proxy for each example, because the title counts all connections.
  let(:proxy) do
    ProxyProcess.start("proxy { |data| data == 'close' ? { :close => true } : { :noop => true } }", name: "title.rb")
  end

  def numbers
    proxy.title[%r{ - (\d+/\d+/\d+) cur/max/tot conns\z}, 1].to_s.split("/").map(&:to_i)
  end

  it "has version, name, address and the numbers of connections" do
    expect(proxy.title).to match(
      %r{\Aproxymachine \d+\.\d+\.\d+\S* - title 127\.0\.0\.1:#{proxy.port} - \d+/\d+/\d+ cur/max/tot conns\z}
    )
  end

  it "follows the number of connections" do
    expect(proxy.title).to end_with " - 0/0/0 cur/max/tot conns"
    clients = Array.new(3) { connect.write("stay") }
    eventually { expect(numbers).to eq [3, 3, 3] }
    clients.pop.close
    eventually { expect(numbers).to eq [2, 3, 3] }
    ask("close")
    eventually { expect(numbers).to eq [2, 3, 4] }
    clients.each(&:close)
    eventually { expect(numbers).to eq [0, 3, 4] }
  end

  it "has the maximum of concurrent connections" do
    clients = Array.new(5) { connect.write("stay") }
    eventually { expect(numbers).to eq [5, 5, 5] }
    clients.each(&:close)
    eventually { expect(numbers).to eq [0, 5, 5] }
  end

  it "is the command that ps prints" do
    expect(`ps -o args= -p #{proxy.pid}`.strip).to eq proxy.title
  end
end
