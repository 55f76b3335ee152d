//! Verdicts and routes: the answers of a router.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::limits::KeyLimits;
use crate::proxy_protocol::Version;
use crate::tls::{Authorities, Certificates};
use crate::upstream::Key;
use crate::{Remote, Upstream};

/// Limit of one connect attempt unless the route sets it, as in EventMachine.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// The decision on a connection, given its first bytes.
#[derive(Debug)]
pub enum Verdict {
    /// Send the message to the client, if there is one, and ask again when more bytes have come.
    Wait(Option<Bytes>),
    /// Send the message to the client, if there is one, and close.
    Close(Option<Bytes>),
    /// Connect the client to a backend.
    Connect(Box<Route>),
    /// End TLS here, and ask again about the decrypted bytes.
    Tls(Box<StartTls>),
    /// Close the client, since the router could not decide.
    Fault(RouterFault),
}

/// How TLS begins on a connection with a client.
#[derive(Debug)]
pub struct StartTls {
    /// The certificates for the client.
    pub certificates: Certificates,
    /// What is sent to the client in clear before the handshake. If set, what the client has sent so far is dropped,
    /// and more of it closes the connection; else it is the beginning of the handshake.
    pub reply: Option<Bytes>,
    /// The beginning of the handshake in place of what the client has sent.
    pub data: Option<Bytes>,
}

impl StartTls {
    /// Begins with what the client has sent so far.
    #[must_use]
    pub fn new(certificates: Certificates) -> Self {
        Self { certificates, reply: None, data: None }
    }
}

/// Why a router could not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouterFault {
    /// The router's block raised an exception.
    Raised,
    /// The answer of the block is invalid or decides nothing.
    InvalidAnswer,
}

/// A verdict, and the time that the block took.
#[derive(Debug)]
pub struct TimedVerdict {
    /// The verdict.
    pub verdict: Verdict,
    /// Time in the block.
    pub in_block: Duration,
}

/// Takes no time.
impl From<Verdict> for TimedVerdict {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, in_block: Duration::ZERO }
    }
}

/// Where a route leads: one backend, or an upstream, which chooses one.
#[derive(Debug, Clone)]
pub enum Target {
    /// A backend.
    Backend(Remote),
    /// An upstream.
    Upstream(Arc<Upstream>),
}

impl Target {
    /// Returns the backend, unless the target is an upstream.
    #[must_use]
    pub fn backend(&self) -> Option<&Remote> {
        match self {
            Self::Backend(remote) => Some(remote),
            Self::Upstream(_) => None,
        }
    }
}

impl From<Remote> for Target {
    fn from(remote: Remote) -> Self {
        Self::Backend(remote)
    }
}

impl From<Arc<Upstream>> for Target {
    fn from(upstream: Arc<Upstream>) -> Self {
        Self::Upstream(upstream)
    }
}

/// Displays a backend as it was written, and an upstream as its name.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backend(remote) => remote.fmt(f),
            Self::Upstream(upstream) => upstream.fmt(f),
        }
    }
}

/// How to connect a client to a backend.
///
/// ```
/// # use std::time::Duration;
/// # use proxymachine_engine::{Route, Verdict};
/// let route = Route { connect_timeout: Some(Duration::from_secs(1)), ..Route::new("10.0.0.1:80".parse().unwrap()) };
/// let verdict = Verdict::Connect(Box::new(route));
/// # let _ = verdict;
/// ```
#[derive(Debug)]
pub struct Route {
    /// The backend or upstream.
    pub target: Target,
    /// Backends and upstreams to try in turn if `target` cannot be reached.
    pub others: Vec<Target>,
    /// What an upstream chooses its server by.
    pub key: Option<Key>,
    /// Bytes for the backend in place of those that the client has sent so far.
    pub data: Option<Bytes>,
    /// Limits of the connections with the same keys. Over a limit the client is closed instead, without `reply`.
    pub limit: Option<Box<KeyLimits>>,
    /// Bytes for the client, sent before the backend is dialed.
    pub reply: Option<Bytes>,
    /// The authorities for TLS with the backend; `None` means those of the upstream, if there are any, or no TLS. If they
    /// have no name to check, the backend's host is the name.
    pub tls: Option<Authorities>,
    /// Version of the PROXY header for the backend; `None` means that of the upstream, if there is one.
    pub proxy_protocol: Option<Version>,
    /// Local address to connect from; port 0 means any port.
    pub local: Option<SocketAddr>,
    /// Limit of one connect attempt, name resolution included; `None` means that of the upstream, or
    /// [`DEFAULT_CONNECT_TIMEOUT`].
    pub connect_timeout: Option<Duration>,
    /// Number of retries; `None` means `Config::connect_retries`.
    pub retries: Option<u32>,
    /// Pause before a retry; `None` means `Config::retry_delay`.
    pub retry_delay: Option<Duration>,
    /// Limit of the time without a byte from or to the backend.
    pub inactivity_timeout: Option<Duration>,
}

impl Verdict {
    /// Returns a verdict to connect to `remote` with the default options.
    #[must_use]
    pub fn connect(remote: Remote) -> Self {
        Self::Connect(Box::new(Route::new(remote)))
    }
}

impl Route {
    /// Creates a route to `remote` with the default options.
    #[must_use]
    pub fn new(remote: Remote) -> Self {
        Self::to(Target::Backend(remote))
    }

    /// Creates a route to a backend or an upstream with the default options.
    #[must_use]
    pub fn to(target: Target) -> Self {
        Self {
            target,
            others: Vec::new(),
            key: None,
            data: None,
            limit: None,
            reply: None,
            tls: None,
            proxy_protocol: None,
            local: None,
            connect_timeout: None,
            retries: None,
            retry_delay: None,
            inactivity_timeout: None,
        }
    }

    /// Lists the backends and upstreams in the order in which they are tried.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        std::iter::once(&self.target).chain(&self.others)
    }
}

/// Lists the backends as they were written, and the upstreams by their names.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.target)?;
        self.others.iter().try_for_each(|other| write!(f, ", {other}"))
    }
}
