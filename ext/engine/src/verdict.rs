//! What a router may answer.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::Remote;
use crate::proxy_protocol::Version;

/// Seconds for one connect attempt where the answer names none, as EventMachine had it.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// The answer to "where should this connection go, given these first bytes?"
#[derive(Debug)]
pub enum Verdict {
    /// Not enough yet: ask again when more has arrived, after these words if there are any.
    Wait(Option<Bytes>),
    /// Close the client, after these last words if there are any.
    Close(Option<Bytes>),
    /// Connect the client with a backend.
    Connect(Box<Route>),
}

/// A verdict, and what it cost.
#[derive(Debug)]
pub struct Answer {
    /// The verdict.
    pub verdict: Verdict,
    /// Time in the block.
    pub in_block: Duration,
}

/// It cost nothing worth telling.
impl From<Verdict> for Answer {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, in_block: Duration::ZERO }
    }
}

/// How to connect a client with its backend.
///
/// ```
/// # use std::time::Duration;
/// # use proxymachine_engine::{Route, Verdict};
/// let route = Route { connect_timeout: Duration::from_secs(1), ..Route::new("10.0.0.1:80".parse().unwrap()) };
/// let verdict = Verdict::Connect(Box::new(route));
/// # let _ = verdict;
/// ```
#[derive(Debug)]
pub struct Route {
    /// The backend.
    pub remote: Remote,
    /// Tried in turn when it cannot be reached.
    pub others: Vec<Remote>,
    /// Sent to the backend instead of what the client has sent so far.
    pub data: Option<Bytes>,
    /// Sent to the client before the backend is dialed.
    pub reply: Option<Bytes>,
    /// Tells the backend who the client is, before anything else.
    pub proxy_protocol: Option<Version>,
    /// The address to connect from; port 0 is any.
    pub local: Option<SocketAddr>,
    /// Limit of one connect attempt, name resolution included.
    pub connect_timeout: Duration,
    /// How often all backends are tried again; None is `Config::connect_retries`.
    pub retries: Option<u32>,
    /// Pause before they are; None is `Config::retry_delay`.
    pub retry_delay: Option<Duration>,
    /// How long the backend may be silent.
    pub inactivity_timeout: Option<Duration>,
}

impl Verdict {
    /// Connect to `remote`, replay what was received, default timeouts.
    #[must_use]
    pub fn connect(remote: Remote) -> Self {
        Self::Connect(Box::new(Route::new(remote)))
    }
}

impl Route {
    /// A route to `remote` with nothing special about it.
    #[must_use]
    pub fn new(remote: Remote) -> Self {
        Self {
            remote,
            others: Vec::new(),
            data: None,
            reply: None,
            proxy_protocol: None,
            local: None,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            retries: None,
            retry_delay: None,
            inactivity_timeout: None,
        }
    }

    /// The backends, in the order in which they are tried.
    pub fn remotes(&self) -> impl Iterator<Item = &Remote> {
        std::iter::once(&self.remote).chain(&self.others)
    }

    /// The `index`-th of them, which the connection stands with.
    pub(crate) fn into_remote(mut self, index: usize) -> Remote {
        match index {
            0 => self.remote,
            _ => self.others.swap_remove(index - 1),
        }
    }
}

/// Names its backends, as they were written.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.remote)?;
        self.others.iter().try_for_each(|other| write!(f, ", {other}"))
    }
}
