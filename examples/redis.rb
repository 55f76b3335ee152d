# frozen_string_literal: true

# Looks up in Redis where a host is served, for HTTP clients, and remembers it until it is told of a change. Needs the
# gem redis (Debian: ruby-redis).
#
#   ROUTES_REDIS=redis://127.0.0.1:6379 ROUTES_DEFAULT=10.0.0.9:80 proxymachine -c examples/redis.rb
#   redis-cli HSET routes blue.test 10.0.0.1:80
#   redis-cli PUBLISH routes blue.test  # after each change
#   curl -H "Host: blue.test" http://127.0.0.1:5432/

require "redis"

# The routes in a hash of Redis. Its changes are told on a channel of the same name.
class Routes
  NAME = "routes"
  TIMEOUT = 0.5 # seconds; a look-up tries twice, and holds up the other undecided connections meanwhile
  PAUSE = 1     # seconds before Redis is asked again when it has failed
  QUIET = 60    # seconds without any change, after which the subscription is renewed: it may be dead
  TROUBLE = [Redis::BaseError, *(RedisClient::Error if defined?(RedisClient))].freeze # the latter since redis 5

  def initialize(url)
    @url = url
    @redis = connection
    @lock = Mutex.new
    @remotes = {} # What Redis said last. It is good enough while Redis is down.
    @fresh = {}   # The names of those which have not changed since.
    @changes = 0
    @asked_again = 0
  end

  # "host:port", or nil if there is none, or if Redis is down and it was not asked before.
  def [](name)
    @fresh[name] || now < @asked_again ? @remotes[name] : look_up(name)
  end

  # Listens for changes, for ever.
  def follow
    loop do
      subscribe
    rescue *TROUBLE => e
      LOGGER.warn "Routes are not followed: #{e.message}" unless e.is_a?(Redis::TimeoutError)
      sleep PAUSE
    end
  end

  private

  def connection
    Redis.new(url: @url, timeout: TIMEOUT)
  end

  def now
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end

  def look_up(name)
    changes = @changes
    remote = @redis.hget(NAME, name)
    remember(name, remote, changes)
    remote
  rescue Redis::BaseError => e
    LOGGER.warn "Redis does not answer: #{e.message}"
    @asked_again = now + PAUSE
    @remotes[name]
  end

  # What Redis does not know is not remembered: clients can make up names without end.
  def remember(name, remote, changes)
    @lock.synchronize do
      remote ? @remotes[name] = remote : @remotes.delete(name)
      # A change that was told while Redis was asked may be newer than its answer.
      @fresh[name] = true if remote && @subscribed && changes == @changes
    end
  end

  def subscribe
    redis = connection
    redis.subscribe_with_timeout(QUIET, NAME) do |on|
      on.subscribe { forget_all(true) }
      on.message { |_, name| forget(name) }
    end
  ensure
    forget_all(false)
    redis&.close
  end

  def forget(name)
    @lock.synchronize do
      @changes += 1
      @fresh.delete(name)
    end
  end

  # Before the subscription, and after its end, changes go unnoticed.
  def forget_all(subscribed)
    @lock.synchronize do
      @changes += 1
      @fresh.clear
      @subscribed = subscribed
    end
  end
end

ROUTES = Routes.new(ENV.fetch("ROUTES_REDIS", "redis://127.0.0.1:6379"))
DEFAULT = ENV.fetch("ROUTES_DEFAULT", "127.0.0.1:8001")

Thread.new { ROUTES.follow }

proxy do |data|
  case request = ProxyMachine::HTTP.request(data)
  when :incomplete then :noop
  when nil         then { close: "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" }
  else (request.host && ROUTES[request.host.downcase]) || DEFAULT
  end
end
