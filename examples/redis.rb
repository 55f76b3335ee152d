# frozen_string_literal: true

# Routes HTTP connections by a table in Redis. Each route is cached until Redis publishes a change. Needs the gem redis
# (Debian: ruby-redis).
#
#   ROUTES_REDIS=redis://127.0.0.1:6379 ROUTES_DEFAULT=10.0.0.9:80 proxymachine -c examples/redis.rb
#   redis-cli HSET routes blue.test 10.0.0.1:80
#   redis-cli PUBLISH routes blue.test  # after each change
#   curl -H "Host: blue.test" http://127.0.0.1:5432/

require "redis"

# Caches the routes of a Redis hash. Changes are published on a channel with the name of the hash.
class Routes
  NAME = "routes"
  TIMEOUT = 0.5 # seconds; a look-up tries twice, and the other undecided connections wait meanwhile
  PAUSE = 1     # seconds between a failure of Redis and the next look-up
  QUIET = 60    # seconds without a change before the subscription is renewed, in case it is dead
  TROUBLE = [Redis::BaseError, *(RedisClient::Error if defined?(RedisClient))].freeze # RedisClient exists since redis 5

  def initialize(url)
    @url = url
    @redis = connection
    @lock = Mutex.new
    @remotes = {} # last known routes, used while Redis is down
    @fresh = {}   # names whose route has not changed since the look-up
    @changes = 0
    @asked_again = 0
  end

  # Returns "host:port", or nil if there is no route, or if Redis is down and the name was not looked up before.
  def [](name)
    @fresh[name] || now < @asked_again ? @remotes[name] : look_up(name)
  end

  # Follows the published changes. Never returns.
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

  # Unknown names are not cached, because clients can invent any number of them.
  def remember(name, remote, changes)
    @lock.synchronize do
      remote ? @remotes[name] = remote : @remotes.delete(name)
      # A change published during the look-up may be newer than the result.
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

  # Without a subscription, changes are missed.
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
  else (request.host && ROUTES[request.host]) || DEFAULT
  end
end
