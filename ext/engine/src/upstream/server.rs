//! One server of an upstream, and what is shown of it.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;

use super::health::Health;
use super::rendezvous;
use crate::Remote;

/// One server of an upstream.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) remote: Remote,
    /// The remote as it was declared, from which a lookup has made this server.
    pub(crate) declared: Remote,
    pub(crate) hash: u64,
    /// Weight of the configuration.
    pub(super) weight: u32,
    /// Weight that a check has set.
    pub(crate) checked_weight: Option<u32>,
    pub(super) is_listed: bool,
    /// Place in the list.
    pub(crate) position: usize,
    pub(crate) open: u32,
    /// Failures of clients in all.
    pub(super) failures: u64,
    pub(crate) health: Health,
    /// Notified when a check finds the server down, if that ends its sessions.
    pub(super) down: Option<watch::Sender<()>>,
}

impl Server {
    pub(super) fn new(remote: Remote, declared: Remote) -> Self {
        Self {
            hash: rendezvous::hash(remote.as_str().as_bytes()),
            remote,
            declared,
            weight: 1,
            checked_weight: None,
            is_listed: false,
            position: 0,
            open: 0,
            failures: 0,
            health: Health::new(),
            down: None,
        }
    }

    pub(crate) fn weight(&self) -> u32 {
        self.checked_weight.unwrap_or(self.weight)
    }

    /// Tells whether the server may take new connections if it is up.
    pub(super) fn is_eligible(&self) -> bool {
        self.is_listed && self.weight() > 0
    }

    /// Sets whether a check that finds the server down ends its sessions.
    pub(super) fn end_sessions_when_down(&mut self, ends: bool) {
        if !ends {
            self.down = None;
        } else if self.down.is_none() {
            self.down = Some(watch::Sender::new(()));
        }
    }

    /// Returns that the server is up or down now.
    pub(super) fn change(&self) -> Change {
        let server = self.remote.clone();
        match &self.health.reason {
            None => Change::Up { server },
            Some(reason) => Change::Down { server, reason: Arc::clone(reason) },
        }
    }

    /// Returns the server for the status page.
    pub(super) fn status(&self) -> ServerStatus {
        ServerStatus {
            server: self.remote.clone(),
            is_up: self.health.is_up(),
            since: self.health.since,
            weight: self.weight(),
            connections: self.open,
            failures: self.failures,
            last_check: self.health.last_check,
            check: self.health.checked(),
            checked_weight: self.checked_weight,
            reason: self.health.reason.clone(),
        }
    }
}

/// A change that an operator wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A server is down.
    Down {
        /// The server.
        server: Remote,
        /// Why.
        reason: Arc<str>,
    },
    /// A server is up.
    Up {
        /// The server.
        server: Remote,
    },
    /// No server is up any more.
    NoneUp,
}

/// A server for the status page.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names tell")]
pub struct ServerStatus {
    pub server: Remote,
    pub is_up: bool,
    pub since: SystemTime,
    pub weight: u32,
    pub connections: u32,
    pub failures: u64,
    pub last_check: Option<SystemTime>,
    /// What the checks have found; `None` before the first one.
    pub check: Option<bool>,
    /// Weight that a check has set.
    pub checked_weight: Option<u32>,
    /// Why the server is down.
    pub reason: Option<Arc<str>>,
}

impl ServerStatus {
    /// Returns the state as one word: `up`, `down`, or `drained` for a server with the weight 0.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self {
            Self { is_up: false, .. } => "down",
            Self { weight: 0, .. } => "drained",
            _ => "up",
        }
    }
}
