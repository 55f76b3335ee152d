//! Shutdown: draining, with or without a deadline.

use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Ends an engine. Its methods may be called from any thread, any number of times.
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
    /// Number of connections that were cut off at the deadline.
    cut_off: AtomicU64,
    /// Whether another process has taken over the listeners.
    has_successor: AtomicBool,
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainOutcome {
    /// All connections ended by themselves.
    Drained,
    /// This many connections were cut off at the deadline.
    Forced(u64),
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Running,
    Draining { since: Instant, deadline: Option<Instant> },
}

impl Shutdown {
    /// Creates the handle of an engine that runs. A drain before the start ends the engine at once.
    #[must_use]
    pub fn new() -> Self {
        Self {
            phase: Mutex::new(Phase::Running),
            changed: Notify::new(),
            cut_off: AtomicU64::new(0),
            has_successor: AtomicBool::new(false),
        }
    }

    /// Stops accepting at once and lets the open connections end by themselves, for at most `limit`. If called
    /// again, the earlier deadline applies.
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

    /// Declares that another process accepts at the same sockets. The drain then keeps clients that have sent nothing
    /// yet, since they must not notice the change.
    pub fn hand_over(&self) {
        self.has_successor.store(true, Relaxed);
    }

    /// Tells whether another process has taken over.
    pub(crate) fn has_successor(&self) -> bool {
        self.has_successor.load(Relaxed)
    }

    /// Ends the engine now and cuts its connections off.
    pub fn abort(&self) {
        self.drain(Some(Duration::ZERO));
    }

    /// Tells whether a drain has begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        matches!(self.phase(), Phase::Draining { .. })
    }

    /// Returns how the drain ended, once the engine has ended.
    #[must_use]
    pub fn outcome(&self) -> DrainOutcome {
        match self.cut_off.load(Relaxed) {
            0 => DrainOutcome::Drained,
            count => DrainOutcome::Forced(count),
        }
    }

    /// Records that connections are cut off.
    pub(crate) fn force(&self, connections: u64) {
        self.cut_off.fetch_max(connections, Relaxed);
    }

    /// Resolves to the beginning of the drain.
    pub(crate) async fn begun(&self) -> Instant {
        loop {
            // Created before the phase is read, so that no change is missed.
            let changed = self.changed.notified();
            if let Phase::Draining { since, .. } = self.phase() {
                return since;
            }
            changed.await;
        }
    }

    /// Resolves when no process accepts any more: a drain has begun, and no other process has taken over.
    pub(crate) async fn closed(&self) {
        self.begun().await;
        if self.has_successor() {
            pending().await
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
    async fn the_earlier_of_two_deadlines_applies() {
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
    async fn begun_returns_the_beginning_of_the_first_drain() {
        let shutdown = Shutdown::new();
        let start = Instant::now();
        shutdown.drain(None);
        tokio::time::advance(Duration::from_secs(1)).await;
        shutdown.drain(None);
        assert_eq!(shutdown.begun().await, start);
    }
}
