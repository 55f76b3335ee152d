//! What an operator may set.

use std::time::Duration;

/// The engine's limits and timeouts.
#[derive(Debug, Clone)]
pub struct Config {
    /// Engine threads. Each one accepts, relays and times out its own connections.
    pub threads: usize,
    /// Bytes that a client may send before the router has decided; then it is closed.
    pub max_preread: usize,
    /// How many times a failed connect is tried again.
    pub connect_retries: u32,
    /// Pause between two connect attempts.
    pub retry_delay: Duration,
    /// How long a connection that is closed in one direction may go without traffic in the other.
    pub half_closed_timeout: Duration,
    /// Once a drain has begun: how long clients that have sent something may stay undecided.
    pub undecided_drain: Duration,
    /// How long a closing connection waits for its client to take the last bytes.
    pub linger: Duration,
}

impl Default for Config {
    /// The limits that `CONTRACT` and `docs/design.md` name.
    fn default() -> Self {
        Self {
            threads: default_threads(),
            max_preread: 1024 * 1024,
            connect_retries: 10,
            retry_delay: Duration::from_millis(100),
            half_closed_timeout: Duration::from_secs(60),
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
