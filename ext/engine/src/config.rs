//! What an operator may set.

use std::time::Duration;

/// The engine's limits and timeouts. Where a limit is an `Option`, `None` is "no limit".
///
/// ```
/// # use proxymachine_engine::Config;
/// let config = Config { max_connections: 10_000, idle_timeout: None, ..Config::default() };
/// assert_eq!(config.connect_retries, 10);
/// ```
#[derive(Debug, Clone)]
pub struct Config {
    /// Engine threads. Each one accepts, relays and times out its own connections.
    pub threads: usize,
    /// Client connections at once; further ones wait in the system's queue.
    pub max_connections: usize,
    /// Bytes that a client may send before the router has decided; then it is closed.
    pub max_preread: usize,
    /// How long it may take to decide where a client goes, from its accept.
    pub decision_timeout: Option<Duration>,
    /// How many times a failed connect is tried again, where the route does not say.
    pub connect_retries: u32,
    /// Pause between two rounds of connect attempts, where the route does not say.
    pub retry_delay: Duration,
    /// How long a connection that is closed in one direction may go without traffic in the other.
    pub half_closed_timeout: Option<Duration>,
    /// How long a connection may go without traffic in any direction.
    pub idle_timeout: Option<Duration>,
    /// Silence after which a peer is asked whether it is still there (tcp(7), `TCP_KEEPIDLE`).
    pub keepalive: Option<Duration>,
    /// How long a peer may leave unacknowledged what it was sent (tcp(7), `TCP_USER_TIMEOUT`).
    pub user_timeout: Option<Duration>,
    /// Once a drain has begun: how long clients that have sent something may stay undecided.
    pub undecided_drain: Duration,
    /// How long a closing connection waits for its client to take some more of the last bytes.
    pub linger: Duration,
}

impl Default for Config {
    /// The defaults that `docs/settings.md` and `docs/reference.md` name.
    fn default() -> Self {
        Self {
            threads: default_threads(),
            max_connections: usize::MAX,
            max_preread: 1024 * 1024,
            decision_timeout: None,
            connect_retries: 10,
            retry_delay: Duration::from_millis(100),
            half_closed_timeout: Some(Duration::from_secs(60)),
            idle_timeout: None,
            keepalive: Some(Duration::from_secs(60)),
            user_timeout: Some(Duration::from_secs(600)),
            undecided_drain: Duration::from_secs(10),
            linger: Duration::from_secs(2),
        }
    }
}

/// Half the cores, at most four: one thread relays gigabytes a second, and the other cores belong to
/// Ruby and to the kernel.
fn default_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (cores / 2).clamp(1, 4)
}
