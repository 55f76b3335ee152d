# frozen_string_literal: true

# contrib/proxymachine.service and its socket unit, run by a real systemd.
RSpec.describe "systemd units of contrib:" do
  reason = ServiceManager.missing
  contrib = File.expand_path("../../contrib", __dir__)

  before { skip reason if reason }

  # Only the system's service manager can apply the sandboxing options; the rest of the unit is unchanged.
  let(:drop_in) { <<~UNIT }
    [Service]
    ExecStartPre=
    ExecStart=
    ExecStart=#{ProxyProcess.command.join(" ")} -c %h/config.rb
    WatchdogSec=10
    #{%w[DynamicUser PrivateDevices PrivateTmp ProtectClock ProtectControlGroups ProtectHome ProtectHostname
         ProtectKernelLogs ProtectKernelModules ProtectKernelTunables ProtectSystem].map { |name| "#{name}=no" }.join("\n")}
    ProtectProc=default
    StandardOutput=append:%h/log
    StandardError=append:%h/log
  UNIT
  let(:units) do
    Dir["#{contrib}/proxymachine.*"].to_h { |file| [File.basename(file), File.read(file)] }
                                    .merge("proxymachine.service.d/spec.conf" => drop_in)
  end
  let(:echo) { <<~RUBY }
    backend = TCPServer.new("127.0.0.1", 0)
    Thread.new { loop { Thread.new(backend.accept) { |peer| loop { peer.write(peer.readpartial(99)) } rescue peer.close } } }
    config = lambda do |name|
      File.write("config.rb", "proxy { |d| d == 'relay' ? '127.0.0.1:\#{backend.addr[1]}' : { :close => '\#{name} ' + $$.to_s } }")
    end
    visit = ->(text) { TCPSocket.new("127.0.0.1", 5432).tap { |client| client.write(text) } }
    ask = -> { visit.call("x").read.split }
  RUBY

  it "start, reload, upgrade, watch and stop the service without a lost connection" do
    facts = ServiceManager.new(units, <<~RUBY).facts
      #{echo}
      config.call("first")
      systemctl("start", "proxymachine.service")
      facts = { started: property("ActiveState"), first: ask.call << property("MainPID") }
      wait_until { property("StatusText").end_with?("1 cur/max/tot connections") }
      config.call("second")
      systemctl("reload", "proxymachine.service")
      wait_until { ask.call.first == "second" } # ExecReload only waits for kill
      facts[:reloaded] = ask.call << property("MainPID")
      held = visit.call("relay")
      facts[:held] = [held.readpartial(9)]
      systemctl("kill", "--kill-whom=main", "--signal=USR2", "proxymachine.service")
      wait_until { property("MainPID") != facts[:reloaded].last }
      facts[:upgraded] = ask.call << property("MainPID")
      held.write("on")
      facts[:held] << held.readpartial(9)
      held.close
      # The new process sends several watchdog notifications.
      seen = []
      wait_until { (seen |= [property("WatchdogTimestampMonotonic")]).size > 2 }
      held = visit.call("relay")
      held.readpartial(9)
      systemctl("stop", "--no-block", "proxymachine.service")
      wait_until { visit.call("x").close || false rescue true }
      held.write("end")
      facts[:held] << held.readpartial(9)
      held.close
      wait_until { property("ActiveState") == "inactive" }
      puts JSON.generate(facts.merge(result: property("Result"), restarts: property("NRestarts")))
    RUBY
    expect(facts).to include(started: "active", result: "success", restarts: "0", held: %w[relay on end])
    %i[first reloaded upgraded].each { |fact| expect(facts[fact][1]).to eq facts[fact][2] }
    expect(facts.values_at(:first, :reloaded, :upgraded).map(&:first)).to eq %w[first second second]
    expect(facts[:upgraded].last).not_to eq facts[:reloaded].last
  end

  it "open a socket that outlives the process" do
    facts = ServiceManager.new(units, <<~RUBY).facts
      #{echo}
      config.call("listens at")
      systemctl("start", "proxymachine.socket")
      facts = { before: property("ActiveState"), answers: [ask.call.last] }
      systemctl("restart", "proxymachine.service")
      facts[:answers] << ask.call.last
      systemctl("kill", "--kill-whom=main", "--signal=USR2", "proxymachine.service")
      wait_until { property("MainPID") != facts[:answers].last }
      facts[:answers] << ask.call.last
      systemctl("stop", "proxymachine.service")
      facts[:answers] << ask.call.last
      puts JSON.generate(facts)
    RUBY
    expect(facts[:before]).to eq "inactive"
    expect(facts[:answers].uniq.size).to eq 4
  end
end
