# frozen_string_literal: true

# Commands of root as another user, for whom limits count. The user may read all files (capabilities(7)), because a
# clone and the folders of the specs may be private to root.
module OtherUser
  READS_ALL = %w[--inh-caps=+dac_override --ambient-caps=+dac_override].freeze

  module_function

  # Returns the words before a command.
  def prefix(user, group = user)
    ["setpriv", "--reuid=#{user}", "--regid=#{group}", "--clear-groups", *READS_ALL]
  end
end
