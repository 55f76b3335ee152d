# frozen_string_literal: true

class ProxyMachine
  # A file with the id of the process that serves.
  # @api private
  class Pidfile
    # @param path [String]
    def initialize(path)
      @path = File.expand_path(path)
    end

    # Whoever this process becomes must be able to write it again after an upgrade.
    # @param privileges [Privileges]
    # @raise [StartError] if it cannot be written
    def write(privileges)
      # Never empty in between: somebody may be reading it for a signal.
      # Nor where a link leads: it may be root who writes, and gives away what it has written, in a user's directory.
      File.open(@path, File::WRONLY | File::CREAT | File::NOFOLLOW, 0o644) do |file|
        file.truncate(file.write("#{Process.pid}\n"))
        privileges.own(file)
      end
    rescue SystemCallError => e
      raise StartError, "cannot write the pidfile #{@path}: #{e.message}"
    end

    # Removes it, unless it tells of another process by now.
    def remove
      File.delete(@path) if File.read(@path).to_i == Process.pid
    rescue SystemCallError
      nil # Somebody else has removed it, or this user may not.
    end
  end
end
