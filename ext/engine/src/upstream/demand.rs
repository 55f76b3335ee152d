//! Servers that are started when a client comes, and stopped when none has been there for a while. Clients that find no
//! server are held meanwhile.

use std::time::Duration;

use tokio::time::Instant;

/// What is being done about the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing: clients are connected.
    Running,
    /// The servers are being started, and whether one of them has answered since.
    Starting { has_answered: bool },
    /// The servers were started. None of them has answered yet; until this time they are not started again.
    Started(Instant),
    /// The servers are being stopped.
    Stopping,
    /// The servers were stopped.
    Stopped,
}

/// What a client that is held is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// Wait on.
    Wait,
    /// Connect: a server answers.
    Connect,
    /// Give up: the servers could not be started.
    GiveUp,
}

/// How often servers have answered, and how often a start or stop has failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Epoch {
    answered: u64,
    failed: u64,
}

/// The demand for the servers of one upstream.
#[derive(Debug)]
pub(crate) struct Demand {
    pub(crate) phase: Phase,
    epoch: Epoch,
    /// Clients that are held.
    held: usize,
    /// Those of them that have sent something, have not ended their side, and are held since the present epoch began. The
    /// others are about to connect or to give up, so nothing is started for them.
    eager: usize,
    /// Whether the servers were started, or a client has reached one since they were stopped. Otherwise nobody stops them.
    was_reached: bool,
    /// When the last connection ended.
    last_used: Instant,
    /// When a stop that was not tried, because another process has clients, may be tried again.
    not_stopped_before: Instant,
}

impl Demand {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Running,
            epoch: Epoch::default(),
            held: 0,
            eager: 0,
            was_reached: false,
            last_used: now,
            not_stopped_before: now,
        }
    }

    /// Tells whether a client is held without an attempt to connect.
    pub(crate) fn holds_at_once(&self) -> bool {
        matches!(self.phase, Phase::Starting { has_answered: false } | Phase::Stopping | Phase::Stopped)
    }

    /// Returns the present epoch, for [`Demand::held_since`].
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Tells what a client is to do that has been held since an epoch.
    pub(crate) fn held_since(&self, epoch: Epoch) -> Held {
        if self.epoch.answered != epoch.answered {
            Held::Connect
        } else if self.epoch.failed != epoch.failed {
            Held::GiveUp
        } else {
            Held::Wait
        }
    }

    /// Returns when the last connection ended.
    pub(crate) fn last_used(&self) -> Instant {
        self.last_used
    }

    /// Returns the number of clients that are held.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Counts a client that is held from now on.
    pub(crate) fn hold(&mut self, is_eager: bool) {
        self.held += 1;
        self.eager += usize::from(is_eager);
    }

    /// Counts a client that is held no longer.
    pub(crate) fn let_go(&mut self, is_eager: bool, since: Epoch, now: Instant) {
        self.held -= 1;
        if is_eager {
            self.lost_interest(since);
        }
        self.touch(now);
    }

    /// Counts a client that has sent something while it was held.
    pub(crate) fn became_eager(&mut self, since: Epoch) {
        self.eager += usize::from(since == self.epoch);
    }

    /// Counts a client that has ended its side while it was held.
    pub(crate) fn lost_interest(&mut self, since: Epoch) {
        self.eager -= usize::from(since == self.epoch);
    }

    /// Begins another epoch: the clients that are held are released.
    fn release(&mut self, answered: u64, failed: u64) {
        self.epoch.answered += answered;
        self.epoch.failed += failed;
        self.eager = 0;
    }

    /// Records that a client of this or another process is connected. Returns whether that is news.
    pub(crate) fn reached(&mut self) -> bool {
        !std::mem::replace(&mut self.was_reached, true)
    }

    /// Tells whether the servers were started, or a client has reached one since they were stopped.
    pub(crate) fn was_reached(&self) -> bool {
        self.was_reached
    }

    /// Records that the upstream was in use until now.
    pub(crate) fn touch(&mut self, now: Instant) {
        self.last_used = now;
    }

    /// Records that a server answers.
    pub(crate) fn answered(&mut self) {
        match &mut self.phase {
            Phase::Stopping => return,
            Phase::Starting { has_answered } => *has_answered = true,
            Phase::Started(_) | Phase::Stopped => self.phase = Phase::Running,
            Phase::Running => {}
        }
        self.release(1, 0);
    }

    /// Begins a start if one is needed. Returns whether it has begun.
    pub(crate) fn begin_start(&mut self, now: Instant) -> bool {
        let may_start = match self.phase {
            Phase::Running | Phase::Stopped => true,
            Phase::Started(until) => until <= now,
            Phase::Starting { .. } | Phase::Stopping => false,
        };
        let begins = may_start && self.eager > 0;
        if begins {
            self.starting();
        }
        begins
    }

    /// Returns when a start may be needed again, if clients wait for it.
    pub(crate) fn next_start(&self) -> Option<Instant> {
        match self.phase {
            Phase::Started(until) if self.eager > 0 => Some(until),
            _ => None,
        }
    }

    /// Marks the servers as being started elsewhere.
    pub(crate) fn starting(&mut self) {
        self.phase = Phase::Starting { has_answered: false };
    }

    /// Ends a start. If it has failed, the clients that are held give up.
    pub(crate) fn started(&mut self, ok: bool, hold: Duration, now: Instant) {
        if ok {
            self.was_reached = true;
            self.last_used = now;
            self.phase = match self.phase {
                Phase::Starting { has_answered: true } => Phase::Running,
                _ => Phase::Started(now + hold),
            };
        } else {
            self.release(0, 1);
            self.phase = Phase::Running;
        }
    }

    /// Tells whether the servers were not in use for that time, as far as this process knows.
    pub(crate) fn was_idle(&self, idle: Option<Duration>, now: Instant) -> bool {
        !self.was_reached || idle.is_none_or(|idle| self.last_used + idle <= now)
    }

    /// Returns when the servers are to be stopped if no client comes.
    pub(crate) fn idle_at(&self, open: u64, idle: Option<Duration>) -> Option<Instant> {
        let is_running = matches!(self.phase, Phase::Running | Phase::Started(_));
        if open == 0 && self.held == 0 && self.was_reached && is_running {
            Some((self.last_used + idle?).max(self.not_stopped_before))
        } else {
            None
        }
    }

    /// Begins a stop that was decided elsewhere. Returns whether nothing uses the servers.
    pub(crate) fn begin_stop(&mut self, open: u64) -> bool {
        let may_stop = open == 0
            && self.held == 0
            && matches!(self.phase, Phase::Running | Phase::Started(_) | Phase::Stopped);
        if may_stop {
            self.phase = Phase::Stopping;
        }
        may_stop
    }

    /// Ends a stop: the servers are stopped (`Some(true)`), that has failed (`Some(false)`), or it was not tried (`None`).
    /// After a stop that was not tried, the next one is not tried for `idle`: the process that has clients will be idle last,
    /// and ask then.
    pub(crate) fn stopped(&mut self, outcome: Option<bool>, idle: Option<Duration>, now: Instant) {
        match outcome {
            Some(true) => {
                self.last_used = now;
                self.was_reached = false;
                self.phase = Phase::Stopped;
            }
            Some(false) => {
                self.last_used = now;
                self.release(0, 1);
                self.phase = Phase::Running;
            }
            None => {
                self.not_stopped_before = now + idle.unwrap_or_default();
                // The clients that came meanwhile are connected.
                self.release(1, 0);
                self.phase = Phase::Running;
            }
        }
    }
}
