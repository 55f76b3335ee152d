# frozen_string_literal: true

# No descriptor left (EMFILE) when the server reloads, upgrades or reopens its logs: a line names the limit, and the
# server goes on.
RSpec.describe "Limit of descriptors:" do
  cure = "Too many open files.*: raise the limit of descriptors \\(ulimit -n, LimitNOFILE=\\)"
  config = 'proxy { { :close => "served" } }'
  failures = { "HUP" => /ERROR Cannot reload .*#{cure}.*\. What was loaded before goes on/,
               "USR2" => /ERROR Cannot upgrade: #{cure}\. This process goes on/ }

  def start(config, arguments)
    ProxyProcess.new(config, args: ["-h", "127.0.0.1", "-p", "0", *arguments]).tap do |proxy|
      port = proxy.await(/Listening on 127\.0\.0\.1:\d+/)[/:(\d+)\.?\z/, 1].to_i
      proxy.instance_variable_set(:@port, port)
      @idle = descriptors(proxy).size
    end
  end

  def descriptors(proxy)
    Dir.children("/proc/#{proxy.pid}/fd").map(&:to_i)
  end

  def limit(proxy, count)
    system("prlimit", "--pid", proxy.pid.to_s, "--nofile=#{count}:", exception: true)
  end

  # The limit under which the process can open `count` descriptors more. It has closed all earlier connections.
  def room(proxy, count)
    open = eventually { descriptors(proxy).then { |numbers| numbers if numbers.size <= @idle } }
    (0..).lazy.reject { |number| open.include?(number) }.first(count + 1).last
  end

  { "one process" => [], "workers" => %w[--workers 2] }.each do |name, arguments|
    failures.each do |signal, line|
      it "with #{name}, #{signal} without a descriptor, or with one alone, changes nothing" do
        proxy = start(config, arguments)
        [0, 1].each do |count|
          next if count == 1 && signal == "HUP" && arguments.empty? # One is enough.

          proxy.mark_log if count == 1
          limit(proxy, room(proxy, count))
          proxy.signal(signal)
          proxy.await(line)
          limit(proxy, 1024)
          expect(ask("x", proxy)).to eq "served"
        end
        proxy.signal("HUP")
        proxy.await(/INFO Reloaded/)
      end
    end
  end

  it "a library that a config requires is not called missing" do
    proxy = start(config, [])
    File.write(proxy.config_path, "require 'set'; $set = Dir.open('/'); require 'open3'\n#{config}")
    limit(proxy, room(proxy, 1))
    proxy.signal("HUP")
    proxy.await(failures["HUP"])
  end
end
