//! What all upstreams share: where their changes are reported, and the events for what runs outside of the engine.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::server::Change;
use crate::Remote;

/// Receives the changes of upstreams, on any thread.
type Reporter = Box<dyn Fn(&str, &Change) + Send + Sync>;

/// Wakes the thread that waits for events.
type Wake = Box<dyn Fn() + Send + Sync>;

/// Something that is to be done outside of the engine, or that other processes want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The servers of the upstream are to be started. [`Upstreams::started`](super::Upstreams::started) ends that.
    Start {
        /// The upstream.
        upstream: Arc<str>,
    },
    /// The servers of the upstream are to be stopped. [`Upstreams::stopped`](super::Upstreams::stopped) ends that.
    Stop {
        /// The upstream.
        upstream: Arc<str>,
    },
    /// A client has reached a server of an upstream whose servers were neither started nor reached before, since they were
    /// stopped. Only for upstreams whose servers can be stopped.
    Reached {
        /// The upstream.
        upstream: Arc<str>,
    },
    /// The checks of this process have found a server up or down, or have given it another weight.
    Checked {
        /// The upstream.
        upstream: Arc<str>,
        /// The server.
        server: Remote,
        /// Whether the server is up.
        is_up: bool,
        /// The weight that the check has set.
        weight: Option<u32>,
        /// Why the server is down.
        reason: String,
    },
    /// The lookups of this process have found other addresses.
    Resolved {
        /// The upstream.
        upstream: Arc<str>,
        /// The name that was looked up.
        name: Remote,
        /// The addresses.
        addresses: Vec<std::net::SocketAddr>,
    },
}

/// What all upstreams share.
pub(crate) struct Hub {
    reporter: OnceLock<Reporter>,
    /// Changes before there is a reporter.
    unreported: Mutex<Vec<(Arc<str>, Change)>>,
    wake: OnceLock<Wake>,
    /// When the thread that waits for events looks again by itself, in milliseconds since `created`.
    next_look: AtomicU64,
    created: Instant,
    /// Whether this process checks servers and looks up names.
    pub(crate) does_checks: AtomicBool,
    /// Whether the results are events.
    pub(crate) shares_checks: AtomicBool,
    events: Mutex<Vec<Event>>,
    /// Notified when upstreams were declared or removed, or have other servers.
    pub(crate) upstreams_changed: Notify,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            reporter: OnceLock::new(),
            unreported: Mutex::default(),
            wake: OnceLock::new(),
            next_look: AtomicU64::new(u64::MAX),
            created: Instant::now(),
            does_checks: AtomicBool::new(true),
            shares_checks: AtomicBool::new(false),
            events: Mutex::default(),
            upstreams_changed: Notify::new(),
        }
    }
}

impl Hub {
    /// Sets what receives the changes. It also receives those that came before.
    pub(crate) fn set_reporter(&self, reporter: Reporter) {
        let mut unreported = self.unreported.lock().unwrap_or_else(PoisonError::into_inner);
        let reporter = self.reporter.get_or_init(|| reporter);
        for (upstream, change) in unreported.drain(..) {
            reporter(&upstream, &change);
        }
    }

    pub(crate) fn report(&self, upstream: &Arc<str>, change: Change) {
        if let Some(reporter) = self.reporter.get() {
            return reporter(upstream, &change);
        }
        let mut unreported = self.unreported.lock().unwrap_or_else(PoisonError::into_inner);
        match self.reporter.get() {
            Some(reporter) => reporter(upstream, &change),
            None => unreported.push((Arc::clone(upstream), change)),
        }
    }

    pub(crate) fn set_wake(&self, wake: Wake) {
        let _ = self.wake.set(wake);
    }

    /// Wakes the thread that waits for events.
    pub(crate) fn wake(&self) {
        if let Some(wake) = self.wake.get() {
            wake();
        }
    }

    /// Sets when the thread that waits for events looks again by itself.
    pub(crate) fn set_next_look(&self, at: Option<Instant>) {
        self.next_look.store(at.map_or(u64::MAX, |at| self.millis(at)), SeqCst);
    }

    /// Wakes the thread that waits for events unless it looks again until `at`. So a busy upstream does not wake it each time
    /// that its last connection ends.
    pub(crate) fn wake_before(&self, at: Option<Instant>) {
        if at.is_some_and(|at| self.millis(at) < self.next_look.load(SeqCst)) {
            self.wake();
        }
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.created).as_millis()).unwrap_or(u64::MAX)
    }

    /// Adds an event that other processes want to know.
    pub(crate) fn share(&self, event: Event) {
        if self.shares_checks.load(Relaxed) {
            self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
            self.wake();
        }
    }

    pub(crate) fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
