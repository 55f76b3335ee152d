# frozen_string_literal: true

# Sends each Git client to the server that holds its user's repositories: git://HOST/USER/REPOSITORY
# is asked of the server that GitRouter.lookup(USER) names.
#
#   GIT_ROUTES="alice=127.0.0.1:9419,bob=127.0.0.1:9420" proxymachine -c examples/git.rb -p 9418
#   git clone git://localhost/alice/project.git

class GitRouter
  ROUTES = ENV.fetch("GIT_ROUTES", "alice=127.0.0.1:9419,bob=127.0.0.1:9420")
              .split(",").to_h { |route| route.split("=", 2) }

  # The "host:port" of the server for the user +name+, nil if there is none.
  def self.lookup(name)
    LOGGER.info "Proxying for user #{name}"
    ROUTES[name]
  end
end

# A request is its own length in four hexadecimal digits, then for example
# "git-upload-pack /alice/project.git\0host=localhost\0", and "\0version=2\0" from newer clients.
GIT_REQUEST = %r{\A\h{4}git-(?:upload-pack|receive-pack|upload-archive) /([\w.-]+)/[^\0]+\0}n
LONGEST_GIT_REQUEST = 4096

proxy do |data|
  length = data[/\A\h{4}/]&.hex
  if data.size >= 4 && (length.nil? || length > LONGEST_GIT_REQUEST)
    { close: true } # not Git
  elsif data.size < 4 || data.size < length
    { noop: true } # the request is still coming in
  elsif data =~ GIT_REQUEST && (remote = GitRouter.lookup($1))
    { remote: remote }
  else
    { close: true } # not a request, or nobody that we know
  end
end
