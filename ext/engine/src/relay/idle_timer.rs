//! The timer of a relay: how long nothing may move.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// The setting that limits the time without traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// `Route::inactivity_timeout`: the backend does not answer.
    Inactivity,
    /// `Config::half_closed_timeout`: one side has ended, or was reset.
    HalfClosed,
    /// `Config::idle_timeout`: neither side sends.
    Idle,
}

/// Measures time without traffic. The timer is not set anew for each byte: when it fires, it checks how long the
/// silence has lasted and sleeps for the rest.
pub(super) struct IdleTimer {
    pub(super) started: Instant,
    pub(super) limit: Duration,
    pub(super) reason: Reason,
    /// `Config::idle_timeout`, which stays when the inactivity timeout does not apply any more.
    idle_timeout: Option<Duration>,
    last_traffic: Instant,
    /// Whether nothing has moved for the limit.
    pub(super) has_passed: bool,
    sleep: Pin<Box<Sleep>>,
}

impl IdleTimer {
    pub(super) fn start(limit: Duration, reason: Reason) -> Box<Self> {
        let now = Instant::now();
        let sleep = Box::pin(sleep_until(after(now, limit)));
        Box::new(Self {
            started: now,
            limit,
            reason,
            idle_timeout: None,
            last_traffic: now,
            has_passed: false,
            sleep,
        })
    }

    /// Applies `limit` if it is shorter than the current one. Starts a timer that does not run yet.
    pub(super) fn shorten(timer: &mut Option<Box<Self>>, limit: Option<Duration>, reason: Reason) {
        let Some(limit) = limit else { return };
        match timer {
            Some(timer) if timer.limit <= limit => {}
            Some(timer) => (timer.limit, timer.reason) = (limit, reason),
            None => *timer = Some(Self::start(limit, reason)),
        }
        if let (Some(timer), Reason::Idle) = (timer, reason) {
            timer.idle_timeout = Some(limit);
        }
    }

    /// Drops the inactivity timeout, once the backend has ended its side.
    pub(super) fn forget_inactivity(timer: &mut Option<Box<Self>>) {
        match timer {
            Some(running) if running.reason == Reason::Inactivity => match running.idle_timeout {
                Some(limit) => (running.limit, running.reason) = (limit, Reason::Idle),
                None => *timer = None,
            },
            _ => {}
        }
    }

    /// Ready when nothing has moved for the limit. `moved` tells of traffic since the last call.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, moved: bool) -> Poll<()> {
        if moved {
            self.last_traffic = Instant::now();
        }
        let due = after(self.last_traffic, self.limit);
        if due < self.sleep.deadline() {
            self.sleep.as_mut().reset(due); // The limit was lowered.
        }
        loop {
            ready!(self.sleep.as_mut().poll(cx));
            if due <= Instant::now() {
                self.has_passed = true;
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(due);
        }
    }
}

/// Returns `start + limit`. A limit above a century counts as a century, since the sum could overflow.
fn after(start: Instant, limit: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    start + limit.min(CENTURY)
}
