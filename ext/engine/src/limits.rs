//! Limits by source and by key: how many connections an address, or a key of the router's, may have at once, and how
//! many an address may begin in a second.
//!
//! All engine threads share two tables, each behind a lock that is held once when a connection begins and once when it
//! ends, together for less than 2 µs (measured on a busy machine, in a loop that does nothing else). So at 20,000
//! connections a second a lock is free more than 96 % of the time. Shards would make the bound of the table and the order
//! in which sources are displaced inexact.

mod keys;
mod offenders;
mod source;
mod table;

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use keys::{KeyLimit, KeyLimits, LimitKey};
pub use source::Source;

use self::keys::KeyTable;
use self::offenders::{Offender, Offenders, WINDOW};
use self::table::{MAX_SOURCES, SourceTable, Ticket};
use crate::{Client, Networks};

/// The limits of each source. `None` means "no limit".
#[derive(Debug, Clone, Default)]
pub struct SourceLimits {
    /// Limit of open connections.
    pub connections: Option<u32>,
    /// Limit of new connections a second, and of those that may come at once after a pause.
    pub rate: Option<u32>,
    /// Networks to which no limit applies.
    pub exempt: Networks,
}

impl SourceLimits {
    /// Tells whether there is a limit.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.connections.is_some() || self.rate.is_some()
    }

    /// Returns the value of a limit.
    fn value(&self, limit: SourceLimit) -> u32 {
        let value = match limit {
            SourceLimit::Connections => self.connections,
            SourceLimit::Rate => self.rate,
        };
        value.unwrap_or(u32::MAX)
    }
}

/// A limit of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceLimit {
    /// [`SourceLimits::connections`]
    Connections,
    /// [`SourceLimits::rate`]
    Rate,
}

impl SourceLimit {
    /// Returns the name of the setting.
    #[must_use]
    pub fn setting(self) -> &'static str {
        match self {
            Self::Connections => "max_connections_per_source",
            Self::Rate => "connection_rate_per_source",
        }
    }
}

/// The source that exceeded a limit most often within a minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorstSource {
    /// The source.
    pub source: Source,
    /// The limit that it exceeded last.
    pub limit: SourceLimit,
    /// The value of that limit.
    pub max: u32,
    /// Number of its connections that were closed.
    pub closed: u64,
    /// Number of connections of all sources that were closed.
    pub all: u64,
    /// The time in which they were closed.
    pub within: Duration,
}

/// A source or a key that was over a limit in the last minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverLimit {
    /// The source, or the key.
    pub name: String,
    /// The name of the setting, or of the key of an answer, that limits it.
    pub limit: &'static str,
    /// The value of the limit.
    pub max: u32,
    /// Connections that are open now.
    pub current: u32,
    /// Connections that were closed in the last one or two minutes.
    pub closed: u64,
}

/// What is counted by source and by key at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitsSnapshot {
    /// Sources with open connections. 0 if connections are not counted by source.
    pub open_sources: usize,
    /// Sources that are remembered.
    pub sources: usize,
    /// Keys with open connections.
    pub keys: usize,
    /// Sources and keys that were over a limit in the last minutes, the worst first.
    pub over: Vec<OverLimit>,
}

/// The counts of an engine's connections by source and by key.
#[derive(Debug)]
pub struct Limits {
    /// The beginning of the clock of the rates.
    start: Instant,
    sources: Mutex<Sources>,
    keys: Mutex<Keys>,
}

#[derive(Debug)]
struct Sources {
    table: SourceTable,
    offenders: Offenders<Source, (SourceLimit, u32)>,
}

#[derive(Debug, Default)]
struct Keys {
    table: KeyTable,
    offenders: Offenders<LimitKey, u32>,
}

/// What one connection holds in the counts. Most connections hold nothing, and need no memory for it.
#[derive(Debug, Default)]
pub(crate) struct Held(Option<Box<HeldCounts>>);

#[derive(Debug, Default)]
struct HeldCounts {
    source: Option<Ticket>,
    keys: Vec<LimitKey>,
}

/// A connection that was closed because its source is over a limit.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) limit: SourceLimit,
    pub(crate) max: u32,
    /// Whether it is the first one for a while, so that a warning is due now, and after each [`WINDOW`].
    pub(crate) begins_window: bool,
}

impl Default for Limits {
    fn default() -> Self {
        let sources = Sources { table: SourceTable::new(MAX_SOURCES), offenders: Offenders::default() };
        Self { start: Instant::now(), sources: Mutex::new(sources), keys: Mutex::default() }
    }
}

impl Limits {
    /// Returns the number of open connections of the client's source, the client's own included; `None` for a client of
    /// a Unix socket. Counts only the connections that were accepted while a limit was set or
    /// [`Router::wants_connections`](crate::Router::wants_connections) was true.
    #[must_use]
    pub fn connections(&self, client: &Client) -> Option<u32> {
        let source = Source::of(client.address()?.ip());
        Some(lock(&self.sources).table.connections(source).max(1))
    }

    /// Returns what is counted now.
    #[must_use]
    pub fn snapshot(&self) -> LimitsSnapshot {
        let now = Instant::now();
        let mut snapshot = LimitsSnapshot::default();
        let sources = lock(&self.sources);
        (snapshot.open_sources, snapshot.sources) = sources.table.sizes();
        let over = sources.offenders.recent(now).into_iter().map(|offender| {
            let (limit, max) = offender.limit;
            over_limit(&offender, limit.setting(), max, sources.table.connections(offender.name))
        });
        snapshot.over.extend(over);
        drop(sources);
        let mut keys = lock(&self.keys);
        keys.offenders.expire(now);
        snapshot.keys = keys.table.len();
        let over = keys.offenders.recent(now).into_iter().map(|offender| {
            over_limit(&offender, "limit", offender.limit, keys.table.connections(&offender.name))
        });
        snapshot.over.extend(over);
        snapshot.over.sort_by_key(|over| std::cmp::Reverse(over.closed));
        snapshot
    }

    /// Counts a connection of the client's source.
    ///
    /// # Errors
    /// The limit that the connection exceeds.
    pub(crate) fn enter(
        &self,
        client: &Client,
        limits: &SourceLimits,
        held: &mut Held,
    ) -> Result<(), Refused> {
        let Some(ip) = client.address().map(|address| address.ip()) else { return Ok(()) };
        let source = Source::of(ip);
        let now = Instant::now();
        let nanos =
            u64::try_from(now.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX / 2);
        let unlimited = SourceLimits::default();
        let limits = if limits.is_set() && limits.exempt.contains(ip) { &unlimited } else { limits };
        let mut sources = lock(&self.sources);
        match sources.table.enter(source, nanos, limits) {
            Ok(ticket) => {
                drop(sources);
                held.0.get_or_insert_default().source = Some(ticket);
                Ok(())
            }
            Err(limit) => {
                let max = limits.value(limit);
                let begins_window = sources.offenders.add(&source, (limit, max), now);
                Err(Refused { limit, max, begins_window })
            }
        }
    }

    /// Reports the worst source now, and then each minute until none was over a limit for a minute. To be called for each
    /// [`Refused`] that begins a window.
    pub(crate) async fn report(&self, mut report: impl FnMut(&WorstSource)) {
        let mut worst = lock(&self.sources).offenders.worst(Instant::now());
        let mut reported = worst.as_ref().map_or(0, |(_, all, _)| *all);
        while let Some(source) = worst {
            report(&worst_source(source));
            tokio::time::sleep(WINDOW).await;
            worst = lock(&self.sources).offenders.end_window(mem::take(&mut reported), Instant::now());
        }
    }

    /// Counts a connection with all keys of `limits`, or with none of them. A key that the connection holds already is
    /// not counted twice.
    ///
    /// # Errors
    /// The first limit that the connection exceeds.
    pub(crate) fn acquire(&self, limits: &[KeyLimit], held: &mut Held) -> Result<(), KeyLimit> {
        let now = Instant::now();
        let held = &mut held.0.get_or_insert_default().keys;
        let mut keys = lock(&self.keys);
        keys.table.acquire(limits, held).map_err(Clone::clone).inspect_err(|KeyLimit { key, max }| {
            keys.offenders.expire(now);
            keys.offenders.add(key, *max, now);
        })
    }

    /// Ends the counting of a connection.
    pub(crate) fn release(&self, held: &mut Held) {
        let Some(held) = held.0.take() else { return };
        if let Some(ticket) = &held.source {
            lock(&self.sources).table.leave(ticket);
        }
        if !held.keys.is_empty() {
            lock(&self.keys).table.release(&held.keys);
        }
    }
}

fn worst_source(worst: offenders::Worst<Source, (SourceLimit, u32)>) -> WorstSource {
    let (offender, all, within) = worst;
    let (limit, max) = offender.limit;
    WorstSource { source: offender.name, limit, max, closed: offender.known(), all, within }
}

fn over_limit<K: ToString, L>(
    offender: &Offender<K, L>,
    limit: &'static str,
    max: u32,
    current: u32,
) -> OverLimit {
    OverLimit { name: offender.name.to_string(), limit, max, current, closed: offender.known() }
}

/// A thread that panicked has left the counts as they were: none of the methods changes them halfway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
