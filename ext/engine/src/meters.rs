//! Counters of one listener: of what happens to its connections, and how long it takes.
//!
//! Each thread counts in a shard of its own, so that none waits for another one's cache line; who wants
//! to know adds them up. Nothing here locks or allocates.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::account::Code;

/// As many threads count without sharing. More of them share.
pub const SHARDS: usize = 8;

/// Upper bounds of a histogram's buckets, in seconds. What is above all of them has a bucket, too.
pub const BOUNDS: [f64; 17] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// The same in microseconds.
const BOUNDS_MICROS: [u64; BOUNDS.len()] = [
    50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

/// What is counted one by one.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "they are called what they count")]
pub enum Count {
    Accepted,
    Closed,
    Retries,
    ConnectFailures,
    ToServer,
    ToClient,
    AnsweredConnect,
    AnsweredClose,
    AnsweredWait,
    AnsweredInvalid,
    Raised,
    LimitConnections,
    LimitPreread,
    LimitDecision,
    LimitInactivity,
    LimitIdle,
    LimitHalfClosed,
}

const COUNTS: usize = Count::LimitHalfClosed as usize + 1;

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub enum Time {
    /// A question waited for a Ruby thread.
    QueueWait,
    /// It was in the block.
    Block,
    /// Until a backend was connected, retries included.
    Connect,
    /// From then to its first byte.
    FirstByte,
}

const TIMES: usize = Time::FirstByte as usize + 1;

/// How many took how long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Durations {
    /// In each bucket, not below it; the last one is for what is above all [`BOUNDS`].
    pub counts: [u64; BOUNDS.len() + 1],
    /// All together.
    pub sum: Duration,
}

#[derive(Debug, Default)]
struct Histogram {
    counts: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

#[derive(Debug, Default)]
#[repr(align(128))] // Two cache lines: they are fetched in pairs.
struct Shard {
    counts: [AtomicU64; COUNTS],
    ends: [AtomicU64; Code::COUNT],
    times: [Histogram; TIMES],
}

/// The counters.
#[derive(Debug, Default)]
pub struct Meters {
    shards: [Shard; SHARDS],
}

thread_local! {
    static SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Where this thread counts, below [`SHARDS`].
pub fn shard_of_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    SHARD.with(|shard| match shard.get() {
        usize::MAX => {
            shard.set(NEXT.fetch_add(1, Relaxed) % SHARDS);
            shard.get()
        }
        known => known,
    })
}

impl Meters {
    fn shard(&self) -> &Shard {
        &self.shards[shard_of_thread()]
    }

    /// One more.
    pub fn count(&self, what: Count) {
        self.add(what, 1);
    }

    /// So many more.
    pub fn add(&self, what: Count, number: u64) {
        self.shard().counts[what as usize].fetch_add(number, Relaxed);
    }

    /// It took so long.
    pub fn took(&self, what: Time, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let histogram = &self.shard().times[what as usize];
        let bucket = BOUNDS_MICROS.partition_point(|bound| *bound < micros);
        histogram.counts[bucket].fetch_add(1, Relaxed);
        histogram.micros.fetch_add(micros, Relaxed);
    }

    pub(crate) fn ended(&self, code: Code) {
        self.shard().ends[code as usize].fetch_add(1, Relaxed);
    }

    /// How many there were.
    #[must_use]
    pub fn total(&self, what: Count) -> u64 {
        self.shards.iter().map(|shard| shard.counts[what as usize].load(Relaxed)).sum()
    }

    /// Connections that are open now.
    #[must_use]
    pub fn current(&self) -> u64 {
        // What has closed is looked at first: it was accepted before.
        let closed = self.total(Count::Closed);
        self.total(Count::Accepted).saturating_sub(closed)
    }

    /// How many connections ended with each code, in the order of [`Code::all`].
    #[must_use]
    pub fn ends(&self) -> [u64; Code::COUNT] {
        std::array::from_fn(|code| self.shards.iter().map(|shard| shard.ends[code].load(Relaxed)).sum())
    }

    /// How long it took.
    #[must_use]
    pub fn durations(&self, what: Time) -> Durations {
        let mut durations = Durations::default();
        for histogram in self.shards.iter().map(|shard| &shard.times[what as usize]) {
            for (sum, count) in durations.counts.iter_mut().zip(&histogram.counts) {
                *sum += count.load(Relaxed);
            }
            durations.sum += Duration::from_micros(histogram.micros.load(Relaxed));
        }
        durations
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_the_same_in_seconds_and_microseconds() {
        for (seconds, micros) in BOUNDS.iter().zip(BOUNDS_MICROS) {
            assert_eq!(Duration::from_secs_f64(*seconds), Duration::from_micros(micros));
        }
        assert!(BOUNDS.is_sorted());
    }

    #[test]
    fn a_duration_is_in_the_first_bucket_that_is_not_below_it() {
        for (micros, bucket) in
            [(0, 0), (50, 0), (51, 1), (1000, 4), (1001, 5), (10_000_000, 16), (10_000_001, 17)]
        {
            let meters = Meters::default();
            meters.took(Time::Block, Duration::from_micros(micros));
            let durations = meters.durations(Time::Block);
            let mut expected = Durations { sum: Duration::from_micros(micros), ..Durations::default() };
            expected.counts[bucket] = 1;
            assert_eq!(durations, expected);
            assert_eq!(meters.durations(Time::Connect), Durations::default());
        }
    }

    #[test]
    fn nothing_is_lost_whatever_the_threads() {
        let meters = Meters::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        meters.add(Count::ToServer, 3);
                        meters.count(Count::Accepted);
                        meters.took(Time::Connect, Duration::from_millis(2));
                        meters.ended(Code::Normal);
                    }
                });
            }
        });
        let threads = 2 * SHARDS as u64;
        assert_eq!(meters.total(Count::ToServer), threads * 3000);
        assert_eq!(meters.current(), threads * 1000);
        assert_eq!(meters.ends()[0], threads * 1000);
        let durations = meters.durations(Time::Connect);
        assert_eq!(durations.counts[5], threads * 1000);
        assert_eq!(durations.sum, Duration::from_secs(threads * 2));
    }
}
