//! A minute of samples, one a second. Rates, curves and recent latencies are computed from the history.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::merge::total;
use crate::snapshot::{Histogram, ListenerStats, Snapshot};

/// Interval between two samples.
pub const PERIOD: Duration = Duration::from_secs(1);

/// Intervals that the history keeps.
const PERIODS: usize = 60;

/// Intervals over which a current rate is averaged. Fewer make the rate jump, more make it lag.
const RATE_PERIODS: usize = 5;

type HistogramOf = fn(&ListenerStats) -> &Histogram;

/// The four histograms of [`ListenerStats`], by name.
const LATENCIES: [(&str, HistogramOf); 4] = [
    ("queue_wait", |stats| &stats.queue_wait),
    ("block_time", |stats| &stats.block_time),
    ("connect_time", |stats| &stats.connect_time),
    ("first_byte", |stats| &stats.first_byte),
];

/// The summed counters at one moment.
struct Sample {
    at: Instant,
    current: u64,
    accepted: u64,
    decisions: u64,
    errors: u64,
    bytes_in: u64,
    bytes_out: u64,
    latencies: [Histogram; 4],
}

impl Sample {
    fn new(snapshot: &Snapshot, at: Instant) -> Self {
        let sum = ListenerStats::sum(&snapshot.listeners);
        Self {
            at,
            current: snapshot.connections.current,
            accepted: if snapshot.listeners.is_empty() { snapshot.connections.total } else { sum.accepted },
            decisions: total(&sum.decisions),
            errors: sum.errors(),
            bytes_in: sum.bytes_in,
            bytes_out: sum.bytes_out,
            latencies: LATENCIES.map(|(_, of)| of(&sum).clone()),
        }
    }
}

/// Averages per second between two samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Rates {
    /// Connections that were open at the end of the interval.
    pub current: u64,
    pub accepted: f64,
    pub decisions: f64,
    pub errors: f64,
    pub bytes_in: f64,
    pub bytes_out: f64,
}

impl Rates {
    fn between(older: &Sample, newer: &Sample) -> Self {
        let seconds = newer.at.duration_since(older.at).as_secs_f64();
        let rate = |older: u64, newer: u64| newer.saturating_sub(older) as f64 / seconds;
        Self {
            current: newer.current,
            accepted: rate(older.accepted, newer.accepted),
            decisions: rate(older.decisions, newer.decisions),
            errors: rate(older.errors, newer.errors),
            bytes_in: rate(older.bytes_in, newer.bytes_in),
            bytes_out: rate(older.bytes_out, newer.bytes_out),
        }
    }
}

/// The durations of one kind in the last minute.
#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    pub name: &'static str,
    pub count: u64,
    /// Mean and quantiles in seconds; None without durations.
    pub mean: Option<f64>,
    pub p50: Option<f64>,
    pub p90: Option<f64>,
    pub p99: Option<f64>,
    #[serde(flatten)]
    pub histogram: Histogram,
}

impl Latency {
    fn new(name: &'static str, histogram: Histogram) -> Self {
        Self {
            name,
            count: histogram.count(),
            mean: histogram.mean(),
            p50: histogram.quantile(0.5),
            p90: histogram.quantile(0.9),
            p99: histogram.quantile(0.99),
            histogram,
        }
    }
}

/// The samples of the last minute, the oldest first.
#[derive(Default)]
pub struct History(VecDeque<Sample>);

impl History {
    /// Adds a sample and drops the one that is older than a minute.
    pub fn add(&mut self, snapshot: &Snapshot, now: Instant) {
        self.0.push_back(Sample::new(snapshot, now));
        if self.0.len() > PERIODS + 1 {
            self.0.pop_front();
        }
    }

    /// Returns the current rates; None before the second sample.
    pub fn rates(&self) -> Option<Rates> {
        let newest = self.0.back()?;
        let older = self.0.iter().rev().nth(RATE_PERIODS).or(self.0.front())?;
        (older.at < newest.at).then(|| Rates::between(older, newest))
    }

    /// Returns the rates of each interval, the oldest first.
    pub fn seconds(&self) -> Vec<Rates> {
        self.0.iter().zip(self.0.iter().skip(1)).map(|(older, newer)| Rates::between(older, newer)).collect()
    }

    /// Returns the durations since the oldest sample. Histograms that are not counted are left out.
    pub fn latencies(&self) -> Vec<Latency> {
        let (Some(oldest), Some(newest)) = (self.0.front(), self.0.back()) else { return Vec::new() };
        LATENCIES
            .iter()
            .zip(oldest.latencies.iter().zip(&newest.latencies))
            .filter(|(_, (_, newer))| !newer.counts.is_empty())
            .map(|((name, _), (older, newer))| Latency::new(name, newer.since(older)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Connections;

    fn after(seconds: u64, accepted: u64, start: Instant) -> (Snapshot, Instant) {
        let connections = Connections { total: accepted, current: 7, ..Connections::default() };
        let block_time = Histogram { bounds: [1.0].as_slice().into(), counts: vec![accepted, 0], sum: 0.0 };
        let listener = ListenerStats { accepted, block_time, ..ListenerStats::default() };
        let snapshot = Snapshot { connections, listeners: vec![listener], ..Snapshot::default() };
        (snapshot, start + Duration::from_secs(seconds))
    }

    fn history(accepted: impl IntoIterator<Item = u64>) -> History {
        let start = Instant::now();
        let mut history = History::default();
        for (seconds, accepted) in accepted.into_iter().enumerate() {
            let (snapshot, at) = after(seconds as u64, accepted, start);
            history.add(&snapshot, at);
        }
        history
    }

    #[test]
    fn rates_need_two_samples() {
        assert_eq!(history([]).rates(), None);
        assert_eq!(history([5]).rates(), None);
        assert_eq!(history([5, 8]).rates().unwrap().accepted, 3.0);
    }

    #[test]
    fn rates_are_averaged_over_five_seconds() {
        let rates = history([0, 1000, 1000, 1010, 1020, 1030, 1040]).rates().unwrap();
        assert_eq!((rates.accepted, rates.current), (8.0, 7));
    }

    #[test]
    fn history_keeps_a_minute() {
        let history = history(0..200);
        assert_eq!(history.seconds().len(), 60);
        assert_eq!(history.latencies()[0].count, 60);
        assert!(history.seconds().iter().all(|second| second.accepted == 1.0));
    }

    #[test]
    fn latencies_leave_out_empty_histograms() {
        let names: Vec<&str> = history([1, 2]).latencies().iter().map(|latency| latency.name).collect();
        assert_eq!(names, ["block_time"]);
    }
}
