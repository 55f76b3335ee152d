//! What a router may answer.

use std::time::Duration;

use bytes::Bytes;

use crate::Remote;

/// Seconds for one connect attempt where the answer names none, as EventMachine had it.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// The answer to "where should this connection go, given these first bytes?"
#[derive(Debug)]
pub enum Verdict {
    /// Not enough yet: ask again when more has arrived.
    Wait,
    /// Close the client, after these last words if there are any.
    Close(Option<Bytes>),
    /// Connect the client with a backend.
    Connect(Box<Route>),
}

/// How to connect a client with its backend.
#[derive(Debug)]
pub struct Route {
    /// The backend.
    pub remote: Remote,
    /// Sent to the backend instead of what the client has sent so far.
    pub data: Option<Bytes>,
    /// Sent to the client before the backend is dialed.
    pub reply: Option<Bytes>,
    /// Limit of one connect attempt, name resolution included.
    pub connect_timeout: Duration,
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
            data: None,
            reply: None,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            inactivity_timeout: None,
        }
    }
}
