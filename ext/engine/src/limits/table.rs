//! The table of sources: the open connections of each, and its rate. Its memory is bounded.

use std::hash::RandomState;

use lru::LruCache;

use super::{SourceLimit, SourceLimits};
use crate::Source;

/// Sources that the table remembers.
pub(crate) const MAX_SOURCES: usize = 65_536;

/// One second in the unit of the rate.
const SECOND: u64 = 1_000_000_000;

/// The open connections and the rate of each source.
///
/// If the table is full, a new source takes the place of one without open connections; if there is none, of one with
/// open connections: each time of the least recently seen one. Connections of a displaced source are not counted any
/// more. The hash is keyed at random (SipHash, the standard library's), so that clients cannot choose addresses that
/// collide.
#[derive(Debug)]
pub(crate) struct SourceTable {
    open: LruCache<Source, Entry, RandomState>,
    /// Sources without open connections whose rate is remembered.
    idle: LruCache<Source, Entry, RandomState>,
    capacity: usize,
    /// Number of the entry that was made last.
    last_number: u64,
}

#[derive(Debug)]
struct Entry {
    connections: u32,
    /// Distinguishes the entry from an earlier one of the same source, which was displaced.
    number: u64,
    /// Nanoseconds on the table's clock at which the source's full burst is available again; 0 if no rate was checked.
    full_at: u64,
}

/// The place of one connection in the table. Must be given back by [`SourceTable::leave`].
#[derive(Debug)]
pub(crate) struct Ticket {
    source: Source,
    number: u64,
}

impl SourceTable {
    /// Creates a table that remembers at most `capacity` sources.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            open: LruCache::unbounded_with_hasher(RandomState::new()),
            idle: LruCache::unbounded_with_hasher(RandomState::new()),
            capacity,
            last_number: 0,
        }
    }

    /// Counts a connection of `source` that begins at `now`, in nanoseconds on any clock that never goes back.
    ///
    /// # Errors
    /// The limit that the connection exceeds. Then the connection is not counted, and takes nothing from the rate.
    pub(crate) fn enter(
        &mut self,
        source: Source,
        now: u64,
        limits: &SourceLimits,
    ) -> Result<Ticket, SourceLimit> {
        if let Some(entry) = self.open.get_mut(&source) {
            return entry.enter(source, now, limits);
        }
        let mut entry = self.idle.pop(&source).unwrap_or_else(|| {
            self.make_room();
            self.last_number += 1;
            Entry { connections: 0, number: self.last_number, full_at: 0 }
        });
        let entered = entry.enter(source, now, limits);
        if entered.is_ok() { &mut self.open } else { &mut self.idle }.put(source, entry);
        entered
    }

    /// Displaces a source if the table is full.
    fn make_room(&mut self) {
        if self.open.len() + self.idle.len() >= self.capacity && self.idle.pop_lru().is_none() {
            self.open.pop_lru();
        }
    }

    /// Ends the counting of a connection. Has no effect if the source was displaced meanwhile.
    pub(crate) fn leave(&mut self, ticket: &Ticket) {
        let Some(entry) = self.open.peek_mut(&ticket.source).filter(|entry| entry.number == ticket.number)
        else {
            return;
        };
        entry.connections -= 1;
        if entry.connections > 0 {
            return;
        }
        // Without a rate there is nothing to remember.
        if let Some(entry) = self.open.pop(&ticket.source).filter(|entry| entry.full_at > 0) {
            self.idle.put(ticket.source, entry);
        }
    }

    /// Returns the number of open connections of a source.
    pub(crate) fn connections(&self, source: Source) -> u32 {
        self.open.peek(&source).map_or(0, |entry| entry.connections)
    }

    /// Returns the number of sources with open connections, and of all remembered sources.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.open.len(), self.open.len() + self.idle.len())
    }
}

impl Entry {
    fn enter(&mut self, source: Source, now: u64, limits: &SourceLimits) -> Result<Ticket, SourceLimit> {
        if limits.connections.is_some_and(|max| self.connections >= max) {
            return Err(SourceLimit::Connections);
        }
        if let Some(rate) = limits.rate {
            // The generic cell rate algorithm (ITU-T I.371, annex A): a bucket of `rate` tokens, one of which returns each
            // `interval`.
            let interval = SECOND / u64::from(rate.max(1));
            let full_at = self.full_at.max(now) + interval;
            if full_at > now + SECOND {
                return Err(SourceLimit::Rate);
            }
            self.full_at = full_at;
        }
        self.connections += 1;
        Ok(Ticket { source, number: self.number })
    }
}
