# frozen_string_literal: true

require "etc"
require_relative "../safe_inspect"

class ProxyMachine
  class Config
    # Drops root's privileges after the listeners are bound.
    # @api private
    class Privileges
      # @param user [String, nil] name of the user to run as
      # @param group [String, nil] name of the group to run as; by default the user's own
      # @raise [ConfigError] if there is no such user or group
      def run_as(user, group)
        return unless user || group

        @names = [user, group].compact.map { |name| SafeInspect.utf8(name.to_s) }.join(":")
        @user = Etc.getpwnam(user.to_s) if user
        @gid = group ? Etc.getgrnam(group.to_s).gid : @user.gid
      rescue ArgumentError => e
        raise ConfigError, "cannot run as #{@names}: #{SafeInspect.message(e)}"
      end

      # @return [Hash] the ids after #drop: +:user+ and +:group+
      def ids
        { user: @user&.uid, group: @gid }.compact
      end

      # Switches to the user and the group. This cannot be undone.
      # @raise [StartError] if the system does not allow it
      def drop
        return if @user ? [@user.uid, @gid] == [Process.uid, Process.gid] : @gid == Process.gid

        change_group if @gid
        Process::UID.change_privilege(@user.uid) if @user
      rescue SystemCallError => e
        raise StartError, "cannot run as #{@names}: #{SafeInspect.message(e)}"
      end

      # Gives a file to the user and the group.
      # @param file [File]
      def own(file)
        file.chown(@user&.uid, @gid) if @user || @gid
      end

      # Gives an open log to the user and the group, who must open it again after an upgrade. A file of another user
      # and a file that is reached by a link stay as they are.
      # @param path [String, nil] "-" is no file
      def own_log(path)
        return if path.nil? || path == "-"

        File.open(path, File::WRONLY | File::APPEND | File::NONBLOCK | File::NOFOLLOW) do |file|
          own(file) if file.stat.file? && file.stat.owned? && file.stat.nlink == 1
        end
      rescue SystemCallError
        nil # A link, a pipe, or a file that this process may not give away.
      end

      # Creates a directory for the user and the group, who then may write into it. One that exists stays as it is.
      # @param path [String, nil]
      def own_directory(path)
        return if path.nil? || File.directory?(path)

        require "fileutils"
        FileUtils.mkdir_p(File.dirname(path))
        Dir.mkdir(path, 0o700)
        File.open(path, File::RDONLY | File::NOFOLLOW) { |directory| own(directory) }
      rescue SystemCallError
        nil # The recorder tries again, and logs why it cannot write.
      end

      private

      # The group changes first: only root may change it.
      def change_group
        if @user
          Process.initgroups(@user.name, @gid)
        else
          Process.groups = [@gid]
        end
        Process::GID.change_privilege(@gid)
      end
    end
  end
end
