//! The health of one server: what its clients met, and what its checks found.
//!
//! A server is up unless one of the two says otherwise. After three failures in a row of its clients it is out for a pause;
//! then one client tries it, and each trial that fails doubles the pause.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// Failures in a row that put a server out.
const MAX_FAILURES: u32 = 3;

/// The first pause of a server that is out.
const FIRST_PAUSE: Duration = Duration::from_secs(10);

/// The longest pause.
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// The health of one server.
#[derive(Debug)]
pub(crate) struct Health {
    /// Failures since the server last sent a byte.
    failures_in_row: u32,
    out: Option<Out>,
    check: Option<Check>,
    /// Time of the last change between up and down.
    pub(crate) since: SystemTime,
    /// Why the server is down.
    pub(crate) reason: Option<Arc<str>>,
    /// Time of the last check.
    pub(crate) last_check: Option<SystemTime>,
}

/// The pause of a server that is out.
#[derive(Debug)]
struct Out {
    pause: Duration,
    /// The end of the pause; `None` while a client tries the server.
    until: Option<Instant>,
}

/// What the checks have found.
#[derive(Debug, Clone, Copy)]
struct Check {
    is_up: bool,
    /// Results in a row that say otherwise.
    streak: u32,
}

impl Health {
    pub(crate) fn new() -> Self {
        Self {
            failures_in_row: 0,
            out: None,
            check: None,
            since: SystemTime::now(),
            reason: None,
            last_check: None,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.out.is_none() && !self.is_down_by_check()
    }

    /// Tells whether the last checks found the server down.
    pub(crate) fn is_down_by_check(&self) -> bool {
        self.check.is_some_and(|check| !check.is_up)
    }

    /// Tells whether there is nothing that a success would change.
    pub(crate) fn is_spotless(&self) -> bool {
        self.failures_in_row == 0 && self.out.is_none()
    }

    /// Returns what the checks have found; `None` before the first one.
    pub(crate) fn checked(&self) -> Option<bool> {
        self.check.map(|check| check.is_up)
    }

    /// Tells whether the pause is over, so that one client may try the server.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.trial_at().is_some_and(|until| until <= now)
    }

    /// Returns the time from which a client may try the server.
    pub(crate) fn trial_at(&self) -> Option<Instant> {
        if self.is_down_by_check() { None } else { self.out.as_ref()?.until }
    }

    /// Begins a trial: no other client tries the server meanwhile.
    pub(crate) fn begin_trial(&mut self) {
        if let Some(out) = &mut self.out {
            out.until = None;
        }
    }

    /// Records that a trial has connected. If the server stays silent, another client may try it after the pause.
    pub(crate) fn trial_connected(&mut self, now: Instant) {
        if let Some(out) = &mut self.out {
            out.until = Some(now + out.pause);
        }
    }

    /// Records that a trial ended without a result, so that the next client may try the server.
    pub(crate) fn abandon_trial(&mut self, now: Instant) {
        if let Some(out) = &mut self.out {
            out.until = Some(now);
        }
    }

    /// Records a client's failure.
    pub(crate) fn failed(&mut self, is_trial: bool, now: Instant) {
        self.failures_in_row = self.failures_in_row.saturating_add(1);
        match &mut self.out {
            Some(out) if is_trial => {
                out.pause = LAST_PAUSE.min(out.pause * 2);
                out.until = Some(now + out.pause);
            }
            Some(_) => {}
            None if self.failures_in_row >= MAX_FAILURES => {
                self.out = Some(Out { pause: FIRST_PAUSE, until: Some(now + FIRST_PAUSE) });
            }
            None => {}
        }
    }

    /// Records that the server has sent a client its first byte.
    pub(crate) fn succeeded(&mut self) {
        self.failures_in_row = 0;
        self.out = None;
    }

    /// Records the result of a check. The first one counts at once.
    pub(crate) fn record_check(&mut self, is_up: bool, rise: u32, fall: u32) {
        self.last_check = Some(SystemTime::now());
        let Some(check) = &mut self.check else {
            self.check = Some(Check { is_up, streak: 0 });
            return;
        };
        if check.is_up == is_up {
            check.streak = 0;
            return;
        }
        check.streak += 1;
        if check.streak >= if is_up { rise } else { fall } {
            self.set_check(is_up);
        }
    }

    /// Sets what the checks have found. A server that comes up by its checks is no longer out.
    pub(crate) fn set_check(&mut self, is_up: bool) {
        if is_up && self.is_down_by_check() {
            self.succeeded();
        }
        self.check = Some(Check { is_up, streak: 0 });
    }

    /// Forgets what the checks have found, since there are none any more.
    pub(crate) fn forget_checks(&mut self) {
        self.check = None;
        self.last_check = None;
    }

    /// Records that the server accepts connections again, while clients wait for that.
    pub(crate) fn answers(&mut self) {
        self.succeeded();
        if let Some(check) = &mut self.check {
            *check = Check { is_up: true, streak: 0 };
        }
    }
}
