//! The settings of the engine.

use std::sync::Arc;
use std::time::Duration;

use crate::{SourceLimits, Upstreams};

/// The limits and timeouts of an engine. `None` means "no limit".
///
/// ```
/// # use proxymachine_engine::Config;
/// let config = Config { max_connections: 10_000, idle_timeout: None, ..Config::default() };
/// assert_eq!(config.connect_retries, 10);
/// ```
#[derive(Debug, Clone)]
pub struct Config {
    /// Number of engine threads. Each one accepts, relays and times out its own connections.
    pub threads: usize,
    /// Limit of open client connections. Further clients wait in the kernel's queue.
    pub max_connections: usize,
    /// Limits of the connections from one source.
    pub source_limits: SourceLimits,
    /// Limit of the bytes that a client may send before the router decides. Then the connection is closed.
    pub max_preread: usize,
    /// Limit of the time from accept to decision.
    pub decision_timeout: Option<Duration>,
    /// Limit of the time of a TLS handshake with a client.
    pub tls_handshake_timeout: Option<Duration>,
    /// Number of retries after a failed connect, unless the route sets it.
    pub connect_retries: u32,
    /// Pause between two rounds of connect attempts, unless the route sets it.
    pub retry_delay: Duration,
    /// Limit of the time without traffic once the client has ended its side.
    pub half_closed_timeout: Option<Duration>,
    /// Limit of the time without traffic in either direction.
    pub idle_timeout: Option<Duration>,
    /// Time without traffic after which the kernel probes a peer (tcp(7), `TCP_KEEPIDLE`).
    pub keepalive: Option<Duration>,
    /// Limit of the time that sent bytes may stay unacknowledged (tcp(7), `TCP_USER_TIMEOUT`).
    pub user_timeout: Option<Duration>,
    /// Time from the beginning of a drain for which a client that has sent bytes may stay undecided.
    pub undecided_drain: Duration,
    /// Limit of the time in which a client must take some of the last bytes before the connection is closed.
    pub linger: Duration,
    /// Whether a client that leaves without having sent a byte is not announced to the observer
    /// ([`Observer::announced`](crate::Observer::announced)).
    pub dontlognull: bool,
    /// The upstreams, which the router's routes may name. The first configuration of an engine decides which ones are watched.
    pub upstreams: Arc<Upstreams>,
}

impl Default for Config {
    /// Returns the defaults that `docs/settings.md` and `docs/reference.md` name.
    fn default() -> Self {
        Self {
            threads: default_threads(),
            max_connections: usize::MAX,
            source_limits: SourceLimits::default(),
            max_preread: 1024 * 1024,
            decision_timeout: None,
            tls_handshake_timeout: Some(Duration::from_secs(10)),
            connect_retries: 10,
            retry_delay: Duration::from_millis(100),
            half_closed_timeout: Some(Duration::from_secs(60)),
            idle_timeout: None,
            keepalive: Some(Duration::from_secs(60)),
            user_timeout: Some(Duration::from_secs(600)),
            undecided_drain: Duration::from_secs(10),
            linger: Duration::from_secs(2),
            dontlognull: false,
            upstreams: Arc::default(),
        }
    }
}

/// Returns half the number of cores, at most four. One thread relays gigabytes a second; Ruby and the kernel need the
/// other cores.
fn default_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (cores / 2).clamp(1, 4)
}
