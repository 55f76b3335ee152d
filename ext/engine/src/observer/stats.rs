//! Counters of all connections of an engine.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Connection counters since the start.
#[derive(Debug, Default)]
pub struct Stats {
    current: AtomicU64,
    max: AtomicU64,
    total: AtomicU64,
}

impl Stats {
    /// Returns the number of open client connections.
    #[must_use]
    pub fn current(&self) -> u64 {
        self.current.load(Relaxed)
    }

    /// Returns the maximum of open connections.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max.load(Relaxed)
    }

    /// Returns the number of accepted connections.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }

    /// Adds the counters of the process that this one has replaced.
    pub fn carry_over(&self, max: u64, total: u64) {
        self.max.fetch_max(max, Relaxed);
        self.total.fetch_add(total, Relaxed);
    }

    /// Counts an accepted connection.
    /// Returns the number of the connection, which no other connection of this process has.
    pub(crate) fn opened(&self) -> u64 {
        let number = self.total.fetch_add(1, Relaxed) + 1;
        let current = self.current.fetch_add(1, Relaxed) + 1;
        self.max.fetch_max(current, Relaxed);
        number
    }

    /// Counts a close. Returns the number of open connections.
    pub(crate) fn closed(&self) -> u64 {
        self.current.fetch_sub(1, Relaxed) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_is_the_peak_of_open_connections() {
        let stats = Stats::default();
        stats.opened();
        stats.opened();
        assert_eq!(stats.closed(), 1);
        stats.opened();
        assert_eq!((stats.closed(), stats.closed()), (1, 0));
        assert_eq!((stats.current(), stats.max(), stats.total()), (0, 2, 3));
    }
}
