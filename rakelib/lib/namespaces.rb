# frozen_string_literal: true

# Commands with mounts of their own, so that no mount outlives them.
module Namespaces
  MOUNTS = %w[unshare --mount --propagation private].freeze
  # The shell stays as process 1, because orphaned processes become its children and must be waited for.
  ENTER = <<~'SH'
    mount --bind "$0" "$0" && mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" &&
      mount --rbind /sys "$0/sys" || exit
    chroot "$0" "$@"
    exit $?
  SH

  module_function

  # Returns the command that runs another one with its own mounts.
  def mounts(*command)
    [*MOUNTS, *command]
  end

  # Returns the command that runs another one inside a folder, with its own mounts and processes.
  def enter(dir, *command)
    mounts("--pid", "--fork", "--kill-child", "sh", "-c", ENTER, dir, *command)
  end
end
