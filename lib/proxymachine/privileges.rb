# frozen_string_literal: true

require "etc"

class ProxyMachine
  # Giving up the rights of root, once the ports are bound.
  # @api private
  class Privileges
    # @param user [String, nil] name of the user to become
    # @param group [String, nil] name of the group to become; by default the user's own
    # @raise [ConfigError] if there is no such user or group
    def become(user, group)
      return unless user || group

      @names = [user, group].compact.join(":")
      @user = Etc.getpwnam(user.to_s) if user
      @gid = group ? Etc.getgrnam(group.to_s).gid : @user.gid
    rescue ArgumentError => e
      raise ConfigError, "cannot run as #{@names}: #{e.message}"
    end

    # @return [Hash] the ids that +drop+ will take, +:user+ and +:group+
    def ids
      { user: @user&.uid, group: @gid }.compact
    end

    # For good: what is given up now cannot be had again.
    # @raise [StartError] if the system does not allow it
    def drop
      return if @user ? [@user.uid, @gid] == [Process.uid, Process.gid] : @gid == Process.gid

      take_group if @gid
      Process::UID.change_privilege(@user.uid) if @user
    rescue SystemCallError => e
      raise StartError, "cannot run as #{@names}: #{e.message}"
    end

    # Gives a file to whom this process becomes.
    # @param file [File]
    def own(file)
      file.chown(@user&.uid, @gid) if @user || @gid
    end

    # The same for a log that was opened, which must be opened again after an upgrade. One that belongs to somebody else
    # stays his, and so does what only a link leads to.
    # @param path [String, nil] "-" is none, either
    def own_log(path)
      return if path.nil? || path == "-"

      File.open(path, File::WRONLY | File::APPEND | File::NONBLOCK | File::NOFOLLOW) do |file|
        own(file) if file.stat.file? && file.stat.owned? && file.stat.nlink == 1
      end
    rescue SystemCallError
      nil # It is a link or a pipe, or nobody's to give away.
    end

    private

    # The group goes first: without the rights of root it could not be changed any more.
    def take_group
      if @user
        Process.initgroups(@user.name, @gid)
      else
        Process.groups = [@gid]
      end
      Process::GID.change_privilege(@gid)
    end
  end
end
