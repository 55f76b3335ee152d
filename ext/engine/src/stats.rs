//! Counters.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Connection counts since the start.
#[derive(Debug, Default)]
pub struct Stats {
    current: AtomicU64,
    max: AtomicU64,
    total: AtomicU64,
}

impl Stats {
    /// Client connections that are open now.
    #[must_use]
    pub fn current(&self) -> u64 {
        self.current.load(Relaxed)
    }

    /// The most that were open at once.
    #[must_use]
    pub fn max(&self) -> u64 {
        self.max.load(Relaxed)
    }

    /// All that were ever accepted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }

    /// Adds what another process counted before this one took over from it.
    pub fn carry_over(&self, max: u64, total: u64) {
        self.max.fetch_max(max, Relaxed);
        self.total.fetch_add(total, Relaxed);
    }

    pub(crate) fn opened(&self) {
        self.total.fetch_add(1, Relaxed);
        let current = self.current.fetch_add(1, Relaxed) + 1;
        self.max.fetch_max(current, Relaxed);
    }

    /// Returns how many are left.
    pub(crate) fn closed(&self) -> u64 {
        self.current.fetch_sub(1, Relaxed) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_remembers_the_most_at_once() {
        let stats = Stats::default();
        stats.opened();
        stats.opened();
        assert_eq!(stats.closed(), 1);
        stats.opened();
        assert_eq!((stats.closed(), stats.closed()), (1, 0));
        assert_eq!((stats.current(), stats.max(), stats.total()), (0, 2, 3));
    }
}
