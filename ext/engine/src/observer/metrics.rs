//! Metrics of one listener: counters and histograms of its connections.
//!
//! Each thread counts in a shard of its own, so that threads do not share cache lines; a reader adds the shards up.
//! Counting neither locks nor allocates.

use std::array::from_fn;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::observer::termination::{Reason, TerminationCode};
use crate::tls::{TlsInfo, TlsVersion};

/// Number of shards. More threads than this share them.
pub const SHARDS: usize = 8;

/// Upper bounds of a histogram's buckets, in seconds. Durations above all bounds have a bucket, too.
pub const BOUNDS: [f64; 17] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// [`BOUNDS`] in microseconds.
const BOUNDS_MICROS: [u64; BOUNDS.len()] = [
    50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

/// The counters of a listener.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names tell what they count")]
pub enum Counter {
    Accepted,
    Closed,
    Retries,
    ToBackend,
    ToClient,
    AnsweredConnect,
    AnsweredClose,
    AnsweredWait,
    AnsweredTls,
    AnsweredInvalid,
    Raised,
    LimitConnections,
    LimitSourceConnections,
    LimitSourceRate,
    LimitKey,
    LimitPreread,
    LimitDecision,
    LimitInactivity,
    LimitIdle,
    LimitHalfClosed,
    /// Sides of relays that ended without a close_notify.
    TlsTruncated,
    AcceptNoDescriptors,
    AcceptNoMemory,
    AcceptFailed,
}

const COUNTERS: usize = Counter::AcceptFailed as usize + 1;

/// The durations that are measured.
#[derive(Debug, Clone, Copy)]
pub enum Timing {
    /// Time for which a call of a block waited for a Ruby thread.
    QueueWait,
    /// Time in the block.
    Block,
    /// Time until a backend was connected, retries included.
    Connect,
    /// Time from the connect to the backend's first byte.
    FirstByte,
    /// Time of a successful TLS handshake with a client.
    ClientTls,
    /// Time of a successful TLS handshake with a backend.
    BackendTls,
}

const TIMINGS: usize = Timing::BackendTls as usize + 1;

/// The other side of a TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsSide {
    /// A client: we are the server.
    Client,
    /// A backend: we are the client.
    Backend,
}

/// The kinds of handshakes that are counted for each side: failed ones, and the others by version and resumption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsKind {
    /// The other side.
    pub side: TlsSide,
    /// The version; `None` if the handshake failed.
    pub version: Option<TlsVersion>,
    /// Whether an earlier session was resumed.
    pub is_resumed: bool,
}

impl TlsKind {
    /// Number of kinds.
    pub const COUNT: usize = 10;

    /// Lists all kinds in the order of [`ListenerMetrics::handshakes`].
    pub fn all() -> impl Iterator<Item = Self> {
        use TlsVersion::{V12, V13};
        let kinds =
            [(None, false), (Some(V12), false), (Some(V12), true), (Some(V13), false), (Some(V13), true)];
        [TlsSide::Client, TlsSide::Backend]
            .into_iter()
            .flat_map(move |side| kinds.map(|(version, is_resumed)| Self { side, version, is_resumed }))
    }

    fn index(self) -> usize {
        Self::all().position(|kind| kind == self).unwrap_or_default()
    }
}

/// A histogram of durations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Durations {
    /// Number of durations in each bucket, not cumulative. The last bucket is for those above all [`BOUNDS`].
    pub counts: [u64; BOUNDS.len() + 1],
    /// Sum of all durations.
    pub sum: Duration,
}

#[derive(Debug, Default)]
struct Histogram {
    counts: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

#[derive(Debug)]
#[repr(align(128))] // Two cache lines, which are fetched in pairs.
struct Shard {
    counts: [AtomicU64; COUNTERS],
    ends: [AtomicU64; TerminationCode::COUNT],
    connect_failures: [AtomicU64; Reason::DIAL_COUNT],
    handshakes: [AtomicU64; TlsKind::COUNT],
    times: [Histogram; TIMINGS],
}

impl Default for Shard {
    fn default() -> Self {
        Self {
            counts: from_fn(|_| AtomicU64::new(0)),
            ends: from_fn(|_| AtomicU64::new(0)),
            connect_failures: from_fn(|_| AtomicU64::new(0)),
            handshakes: from_fn(|_| AtomicU64::new(0)),
            times: from_fn(|_| Histogram::default()),
        }
    }
}

/// The metrics of one listener.
#[derive(Debug, Default)]
pub struct ListenerMetrics {
    shards: [Shard; SHARDS],
}

thread_local! {
    static SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Returns the index of this thread's shard, below [`SHARDS`].
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

impl ListenerMetrics {
    fn shard(&self) -> &Shard {
        &self.shards[shard_of_thread()]
    }

    /// Increments a counter.
    pub fn count(&self, what: Counter) {
        self.add(what, 1);
    }

    /// Adds `number` to a counter.
    pub fn add(&self, what: Counter, number: u64) {
        self.shard().counts[what as usize].fetch_add(number, Relaxed);
    }

    /// Records a duration.
    pub fn took(&self, what: Timing, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let histogram = &self.shard().times[what as usize];
        let bucket = BOUNDS_MICROS.partition_point(|bound| *bound < micros);
        histogram.counts[bucket].fetch_add(1, Relaxed);
        histogram.micros.fetch_add(micros, Relaxed);
    }

    /// Counts a TLS handshake, which failed if there is no `info`.
    pub(crate) fn handshake(&self, side: TlsSide, info: Option<&TlsInfo>, duration: Duration) {
        let is_resumed = info.is_some_and(|info| info.is_resumed);
        let kind = TlsKind { side, version: info.map(|info| info.version), is_resumed };
        self.shard().handshakes[kind.index()].fetch_add(1, Relaxed);
        if info.is_some() {
            let timing = if side == TlsSide::Client { Timing::ClientTls } else { Timing::BackendTls };
            self.took(timing, duration);
        }
    }

    /// Counts a connection for which no backend could be reached.
    pub(crate) fn connect_failed(&self, reason: Reason) {
        self.shard().connect_failures[reason as usize].fetch_add(1, Relaxed);
    }

    /// Counts the end of a connection.
    pub(crate) fn ended(&self, code: TerminationCode) {
        self.shard().ends[code as usize].fetch_add(1, Relaxed);
    }

    /// Returns the value of a counter.
    #[must_use]
    pub fn total(&self, what: Counter) -> u64 {
        self.shards.iter().map(|shard| shard.counts[what as usize].load(Relaxed)).sum()
    }

    /// Returns the number of open connections.
    #[must_use]
    pub fn current(&self) -> u64 {
        // Closed is read first, so that the difference is never negative.
        let closed = self.total(Counter::Closed);
        self.total(Counter::Accepted).saturating_sub(closed)
    }

    /// Returns the number of connections that ended with each code, in the order of [`TerminationCode::all`].
    #[must_use]
    pub fn ends(&self) -> [u64; TerminationCode::COUNT] {
        std::array::from_fn(|code| self.shards.iter().map(|shard| shard.ends[code].load(Relaxed)).sum())
    }

    /// Returns the number of connections for which no backend could be reached, by the reason of the last attempt, in
    /// the order of [`Reason::all`].
    #[must_use]
    pub fn connect_failures(&self) -> [u64; Reason::DIAL_COUNT] {
        std::array::from_fn(|reason| {
            self.shards.iter().map(|shard| shard.connect_failures[reason].load(Relaxed)).sum()
        })
    }

    /// Returns the number of TLS handshakes of each kind, in the order of [`TlsKind::all`].
    #[must_use]
    pub fn handshakes(&self) -> [u64; TlsKind::COUNT] {
        std::array::from_fn(|kind| self.shards.iter().map(|shard| shard.handshakes[kind].load(Relaxed)).sum())
    }

    /// Returns the histogram of a duration.
    #[must_use]
    pub fn durations(&self, what: Timing) -> Durations {
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
    fn bounds_agree_in_seconds_and_microseconds() {
        for (seconds, micros) in BOUNDS.iter().zip(BOUNDS_MICROS) {
            assert_eq!(Duration::from_secs_f64(*seconds), Duration::from_micros(micros));
        }
        assert!(BOUNDS.is_sorted());
    }

    #[test]
    fn a_duration_counts_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        for (micros, bucket) in
            [(0, 0), (50, 0), (51, 1), (1000, 4), (1001, 5), (10_000_000, 16), (10_000_001, 17)]
        {
            let metrics = ListenerMetrics::default();
            metrics.took(Timing::Block, Duration::from_micros(micros));
            let durations = metrics.durations(Timing::Block);
            let mut expected = Durations { sum: Duration::from_micros(micros), ..Durations::default() };
            expected.counts[bucket] = 1;
            assert_eq!(durations, expected);
            assert_eq!(metrics.durations(Timing::Connect), Durations::default());
        }
    }

    #[test]
    fn no_count_is_lost_with_more_threads_than_shards() {
        let metrics = ListenerMetrics::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        metrics.add(Counter::ToBackend, 3);
                        metrics.count(Counter::Accepted);
                        metrics.took(Timing::Connect, Duration::from_millis(2));
                        metrics.ended(TerminationCode::Normal);
                    }
                });
            }
        });
        let threads = 2 * SHARDS as u64;
        assert_eq!(metrics.total(Counter::ToBackend), threads * 3000);
        assert_eq!(metrics.current(), threads * 1000);
        assert_eq!(metrics.ends()[0], threads * 1000);
        let durations = metrics.durations(Timing::Connect);
        assert_eq!(durations.counts[5], threads * 1000);
        assert_eq!(durations.sum, Duration::from_secs(threads * 2));
    }
}
