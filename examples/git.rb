# frozen_string_literal: true

# Routes each Git client to the backend with the repositories of the owner: git://HOST/OWNER/REPOSITORY
#
#   GIT_ROUTES="alice=10.0.0.1:9418,bob=10.0.0.2:9418" proxymachine -c examples/git.rb -p 9418
#   git clone git://localhost/alice/project.git

GIT_ROUTES = ENV.fetch("GIT_ROUTES", "alice=127.0.0.1:9419,bob=127.0.0.1:9420")
                .split(",").to_h { |route| route.split("=", 2) }

# Matches the owner in "/alice/project.git".
OWNER = %r{\A/([\w.-]+)/.}

proxy do |data|
  case request = ProxyMachine::Git.request(data)
  when :incomplete then :noop
  when nil         then :close
  else
    owner = request.path[OWNER, 1]
    LOGGER.info "Proxying for user #{owner}"
    GIT_ROUTES.fetch(owner, :close)
  end
end
