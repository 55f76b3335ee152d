# frozen_string_literal: true

require "etc"
require "time"

module Bench
  # Facts about the machine, on which figures depend.
  module Machine
    module_function

    def facts(processors)
      {
        "time" => Time.now.utc.iso8601,
        "commit" => commit,
        "processor" => File.read("/proc/cpuinfo")[/^model name\s*: (.*)/, 1],
        "processors" => Etc.nprocessors,
        "pinning" => processors.to_s,
        "kernel" => Etc.uname[:release],
        "ruby" => RUBY_DESCRIPTION[/\Aruby \S+/],
        "descriptors" => Process.getrlimit(:NOFILE).first,
        "versions" => versions
      }
    end

    def commit
      hash = git("rev-parse", "--short", "HEAD")
      return if hash.empty?

      git("status", "--porcelain", "--", "lib", "ext", "exe").empty? ? hash : "#{hash} and changes"
    end

    def versions
      Peer.all.reject { |_, peer| peer.missing }.transform_values(&:version).compact
    end

    def git(*words)
      IO.popen(["git", "-C", ROOT, *words], err: File::NULL, &:read).strip
    rescue SystemCallError
      ""
    end
  end
end
