//! Time without traffic, for all relays alike.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Why a relay may be silent for so long only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// `Route::inactivity_timeout`: somebody waits for the server.
    Inactivity,
    /// `Config::half_closed_timeout`: the client has ended its side.
    HalfClosed,
    /// `Config::idle_timeout`: nobody does anything.
    Idle,
}

/// Measures time without traffic. It is not re-armed for each byte: when it rings it looks how long
/// the silence really was, and sleeps for the rest.
pub(crate) struct Clock {
    pub(crate) started: Instant,
    pub(crate) limit: Duration,
    pub(crate) reason: Reason,
    last_traffic: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl Clock {
    pub(crate) fn start(limit: Duration, reason: Reason) -> Box<Self> {
        let now = Instant::now();
        let alarm = Box::pin(sleep_until(after(now, limit)));
        Box::new(Self { started: now, limit, reason, last_traffic: now, alarm })
    }

    /// Takes the shorter limit, of a clock that may not even go yet.
    pub(crate) fn shorten(clock: &mut Option<Box<Self>>, limit: Option<Duration>, reason: Reason) {
        let Some(limit) = limit else { return };
        match clock {
            Some(clock) if clock.limit <= limit => {}
            Some(clock) => (clock.limit, clock.reason) = (limit, reason),
            None => *clock = Some(Self::start(limit, reason)),
        }
    }

    /// Ready when nothing has moved for `limit`.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, moved: bool) -> Poll<()> {
        if moved {
            self.last_traffic = Instant::now();
        }
        let due = after(self.last_traffic, self.limit);
        if due < self.alarm.deadline() {
            self.alarm.as_mut().reset(due); // The limit was lowered.
        }
        loop {
            ready!(self.alarm.as_mut().poll(cx));
            if due <= Instant::now() {
                return Poll::Ready(());
            }
            self.alarm.as_mut().reset(due);
        }
    }
}

/// `start + limit`, for limits as large as they come: a century is as good as never.
fn after(start: Instant, limit: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    start + limit.min(CENTURY)
}
