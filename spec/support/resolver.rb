# frozen_string_literal: true

# Makes a process query a name server of the specs: a mount namespace gives it its own resolv.conf and nsswitch.conf.
module Resolver
  MOUNT = 'mount --bind "$0/resolv.conf" /etc/resolv.conf && mount --bind "$0/nsswitch.conf" /etc/nsswitch.conf'

  module_function

  # Returns the reason why mounting is impossible, or nil.
  def missing
    Dir.mktmpdir do |dir|
      "mounting is not allowed here" unless system(*through("127.0.0.1", dir), "true", %i[out err] => File::NULL)
    end
  end

  # Returns a command that runs the rest of its command line with this name server. `timeout` is that of a query,
  # in seconds.
  def through(server, dir, timeout: 1)
    File.write(File.join(dir, "resolv.conf"), "nameserver #{server}\nsearch .\noptions timeout:#{timeout} attempts:1\n")
    File.write(File.join(dir, "nsswitch.conf"), "hosts: files dns\n")
    ["unshare", "--mount", "sh", "-c", "#{MOUNT} && exec \"$@\"", dir]
  end
end
