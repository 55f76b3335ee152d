//! What a configuration says about an upstream.

use std::collections::HashMap;
use std::time::Duration;

use crate::Remote;
use crate::proxy_protocol::Version;
use crate::tls::Authorities;

/// How an upstream chooses among its servers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Balance {
    /// Of two different servers, picked at random by weight, the one with fewer connections for its weight.
    #[default]
    Least,
    /// The first server of the list that is up.
    Ordered,
}

/// A declared upstream: its name, its servers and its options.
///
/// ```
/// # use proxymachine_engine::upstream::{Definition, Options};
/// let options = Options { max_connections: Some(50), ..Options::default() };
/// let servers = vec![("10.0.0.1:5432".parse().unwrap(), 1)];
/// let definition = Definition { name: "db".into(), servers, options };
/// # let _ = definition;
/// ```
#[derive(Debug, Clone)]
pub struct Definition {
    /// The name, as answers have it.
    pub name: String,
    /// The servers and their weights. A server that is listed twice counts once.
    pub servers: Vec<(Remote, u32)>,
    /// The options.
    pub options: Options,
}

/// The options of an upstream.
#[derive(Debug, Clone)]
pub struct Options {
    /// How a server is chosen for an answer without a key.
    pub balance: Balance,
    /// Weights by server, for addresses that only a lookup knows. They go before the weights of the list.
    pub weights: HashMap<String, u32>,
    /// Limit of the connections of this process to one server.
    pub max_connections: Option<u32>,
    /// Limit of a client's time in the queue. Zero: no client waits.
    pub queue_timeout: Duration,
    /// Limit of the clients in the queue.
    pub max_queue: usize,
    /// Time between two checks of a server.
    pub check: Option<Duration>,
    /// Whether checks are made outside of the engine ([`Upstreams::set_check`](super::Upstreams::set_check)).
    pub is_checked_outside: bool,
    /// Limit of one check.
    pub check_timeout: Duration,
    /// Successful checks in a row after which a server that was down is up.
    pub rise: u32,
    /// Failed checks in a row after which a server that was up is down.
    pub fall: u32,
    /// Whether the sessions of a server that a check found down are ended.
    pub closes_on_down: bool,
    /// Time between two lookups of each name, whose addresses are then the servers. `None`: a name is one server, looked up
    /// at each connect.
    pub resolve: Option<Duration>,
    /// The authorities for TLS with the servers, unless the route has some.
    pub tls: Option<Authorities>,
    /// Version of the PROXY header for the servers, unless the route has one.
    pub proxy_protocol: Option<Version>,
    /// Limit of one connect attempt, unless the route has one.
    pub connect_timeout: Option<Duration>,
    /// Limit of the time for which a client that found no server is held.
    pub hold: Option<Duration>,
    /// Whether the servers can be started when a client finds none.
    pub can_start: bool,
    /// Whether the servers can be stopped.
    pub can_stop: bool,
    /// Time without a connection after which the servers are stopped.
    pub idle: Option<Duration>,
}

impl Default for Options {
    /// Returns the defaults that `docs/reference.md` names.
    fn default() -> Self {
        Self {
            balance: Balance::Least,
            weights: HashMap::new(),
            max_connections: None,
            queue_timeout: Duration::ZERO,
            max_queue: 1000,
            check: None,
            is_checked_outside: false,
            check_timeout: Duration::from_secs(2),
            rise: 2,
            fall: 3,
            closes_on_down: false,
            resolve: None,
            tls: None,
            proxy_protocol: None,
            connect_timeout: None,
            hold: None,
            can_start: false,
            can_stop: false,
            idle: None,
        }
    }
}
