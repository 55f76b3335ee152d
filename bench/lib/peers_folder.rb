# frozen_string_literal: true

require_relative "../../rakelib/lib/debian_folder"

module Bench
  # The newest HAProxy and nginx of Debian. Their programs run on this machine with the libraries of the folder, so that
  # they need neither root nor a chroot, and the config files keep their paths.
  module PeersFolder
    FOLDER = DebianFolder.new("sid", parent: "tmp/peers")
    # The option that prints the version, and the version in the output.
    PROGRAMS = { "haproxy" => ["-v", /version (\S+)/], "nginx" => ["-v", %r{nginx/(\S+)}] }.freeze
    NGINX = %w[nginx libnginx-mod-stream libnginx-mod-stream-js].freeze

    module_function

    # Creates the folder, or updates its packages.
    def make
      obstacle = DebianFolder.missing
      raise Error, obstacle if obstacle

      made = FOLDER.make && FOLDER.install(*NGINX) && FOLDER.install("haproxy", from: "experimental")
      raise Error, "debootstrap or apt-get failed in #{FOLDER.dir}" unless made
    end

    # Returns the words that start the program, or nil if the folder lacks it.
    def command(name)
      program = "#{FOLDER.dir}/usr/sbin/#{name}"
      loader = Dir["#{FOLDER.dir}/lib*/ld-linux-*.so.*"].first
      [loader, "--library-path", libraries, program] if loader && File.executable?(program)
    end

    def modules
      "#{FOLDER.dir}/usr/lib/nginx/modules"
    end

    def version(name)
      option, pattern = PROGRAMS.fetch(name)
      Peer.version(*command(name), option, pattern)
    end

    # Returns the folders of the dynamic libraries (ld.so(8)).
    def libraries
      Dir["#{FOLDER.dir}/usr/lib/*-linux-gnu"].join(":")
    end
  end
end
