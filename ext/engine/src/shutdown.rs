//! The way to the end: running, draining, perhaps with a deadline, over.

use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Ends an engine. Cheap to call from any thread, any number of times.
///
/// ```
/// # use std::time::Duration;
/// # use proxymachine_engine::Shutdown;
/// let shutdown = Shutdown::new();
/// shutdown.drain(None); // waits as long as it takes
/// shutdown.drain(Some(Duration::from_secs(10))); // no longer than this
/// ```
#[derive(Debug)]
pub struct Shutdown {
    phase: Mutex<Phase>,
    /// Notified at each change of the phase.
    changed: Notify,
    /// Connections that were cut off when the time was over.
    cut_off: AtomicU64,
    /// Another process accepts from now on.
    is_succeeded: AtomicBool,
}

/// How an engine ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every connection ended by itself.
    Drained,
    /// The time was over for this many connections.
    Forced(u64),
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Running,
    Draining { since: Instant, deadline: Option<Instant> },
}

impl Shutdown {
    /// Not ended yet. May be ended before the engine starts: then it ends at once.
    #[must_use]
    pub fn new() -> Self {
        Self {
            phase: Mutex::new(Phase::Running),
            changed: Notify::new(),
            cut_off: AtomicU64::new(0),
            is_succeeded: AtomicBool::new(false),
        }
    }

    /// Stops accepting at once and lets the open connections end by themselves, for as long as
    /// `limit` if there is one. Called again, the earlier deadline holds.
    pub fn drain(&self, limit: Option<Duration>) {
        let now = Instant::now();
        let new_deadline = limit.and_then(|limit| now.checked_add(limit));
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        *phase = match *phase {
            Phase::Running => Phase::Draining { since: now, deadline: new_deadline },
            Phase::Draining { since, deadline } => {
                Phase::Draining { since, deadline: deadline.into_iter().chain(new_deadline).min() }
            }
        };
        drop(phase);
        self.changed.notify_waiters();
    }

    /// Another process goes on accepting at the same sockets: whoever is accepted here must not notice, so
    /// clients that have sent nothing yet do not leave at the beginning of the drain.
    pub fn hand_over(&self) {
        self.is_succeeded.store(true, Relaxed);
    }

    /// Whether it goes on elsewhere.
    pub(crate) fn is_succeeded(&self) -> bool {
        self.is_succeeded.load(Relaxed)
    }

    /// Ends everything now.
    pub fn abort(&self) {
        self.drain(Some(Duration::ZERO));
    }

    /// Whether a drain has begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        matches!(self.phase(), Phase::Draining { .. })
    }

    /// How it ended, once it has: how many connections had to be cut off.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self.cut_off.load(Relaxed) {
            0 => Outcome::Drained,
            count => Outcome::Forced(count),
        }
    }

    pub(crate) fn force(&self, connections: u64) {
        self.cut_off.fetch_max(connections, Relaxed);
    }

    /// Resolves when a drain has begun, with the time it did.
    pub(crate) async fn begun(&self) -> Instant {
        loop {
            // Created before the look at the phase, so that no change is missed.
            let changed = self.changed.notified();
            if let Phase::Draining { since, .. } = self.phase() {
                return since;
            }
            changed.await;
        }
    }

    /// Resolves when a drain's deadline has passed.
    pub(crate) async fn overdue(&self) {
        loop {
            let changed = self.changed.notified();
            let deadline = match self.phase() {
                Phase::Draining { deadline, .. } => deadline,
                Phase::Running => None,
            };
            let due = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = due => return,
                () = changed => {}
            }
        }
    }

    fn phase(&self) -> Phase {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_earlier_of_two_deadlines_holds() {
        let shutdown = Shutdown::new();
        let start = Instant::now();
        shutdown.drain(None);
        shutdown.drain(Some(Duration::from_secs(10)));
        shutdown.drain(Some(Duration::from_secs(20)));
        shutdown.overdue().await;
        assert_eq!(start.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_without_a_limit_is_never_overdue() {
        let shutdown = Shutdown::new();
        shutdown.drain(None);
        let hour = Duration::from_secs(3600);
        assert!(tokio::time::timeout(hour, shutdown.overdue()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn begun_remembers_when_the_first_drain_began() {
        let shutdown = Shutdown::new();
        let start = Instant::now();
        shutdown.drain(None);
        tokio::time::advance(Duration::from_secs(1)).await;
        shutdown.drain(None);
        assert_eq!(shutdown.begun().await, start);
    }
}
