//! Arithmetic on counters: sums of snapshots and listeners, differences and quantiles of histograms.

use crate::certificates;
use crate::failures::Failures;
use crate::snapshot::{
    BackendStats, Connections, HandshakeCount, Histogram, LimitStats, ListenerStats, NamedCount, SlowCall,
    Snapshot, TerminationCount, TlsStats,
};
use crate::upstreams;

/// Slow calls that a sum keeps.
const MAX_SLOW_CALLS: usize = 20;

/// Sources and keys over a limit that a sum keeps.
const MAX_OVER_LIMITS: usize = 40;

/// Adds a counter, up to the largest number: one process with wrong counters must not end what shows all of them.
fn add_to(sum: &mut u64, count: u64) {
    *sum = sum.saturating_add(count);
}

impl Snapshot {
    /// Adds the counters of an earlier process, but not its connections, which are carried over apart.
    pub fn carry_over(&mut self, mut earlier: Self) {
        earlier.clear_open();
        earlier.connections = Connections::default();
        earlier.failures = Failures::default();
        earlier.certificates.clear();
        self.add(&earlier);
        upstreams::remove_gone(&mut self.upstreams);
    }

    /// Adds the counters of an earlier process, and the total and the peak of its connections.
    pub fn carry_over_with_connections(&mut self, earlier: Self) {
        let Connections { max, total, .. } = earlier.connections;
        self.carry_over(earlier);
        add_to(&mut self.connections.total, total);
        self.connections.max = self.connections.max.max(max);
    }

    /// Adds the counters of a process that has exited.
    pub(crate) fn add_exited(&mut self, exited: &mut Self) {
        exited.clear_open();
        exited.certificates.clear();
        self.add(exited);
    }

    /// Adds the counters of another process.
    pub(crate) fn add(&mut self, other: &Self) {
        add_to(&mut self.connections.current, other.connections.current);
        add_to(&mut self.connections.total, other.connections.total);
        if let Some(dropped) = other.log_lines_dropped {
            add_to(self.log_lines_dropped.get_or_insert(0), dropped);
        }
        for listener in &other.listeners {
            let is_same =
                |own: &&mut ListenerStats| (&own.name, &own.address) == (&listener.name, &listener.address);
            match self.listeners.iter_mut().find(is_same) {
                Some(own) => own.add(listener),
                None => self.listeners.push(listener.clone()),
            }
        }
        for backend in &other.remotes {
            match self.remotes.iter_mut().find(|own| own.name == backend.name) {
                Some(own) => own.add(backend),
                None => self.remotes.push(backend.clone()),
            }
        }
        self.limits.add(&other.limits);
        upstreams::add(&mut self.upstreams, &other.upstreams);
        self.slow.extend(other.slow.iter().cloned());
        self.slow.sort_by(|one: &SlowCall, other| other.at.total_cmp(&one.at));
        self.slow.truncate(MAX_SLOW_CALLS);
        self.failures.merge(&other.failures);
        certificates::merge(&mut self.certificates, &other.certificates);
    }

    /// Sets the numbers of open connections to 0.
    fn clear_open(&mut self) {
        self.connections.current = 0;
        self.listeners.iter_mut().for_each(|listener| listener.current = 0);
        self.remotes.iter_mut().for_each(|backend| backend.current = 0);
        upstreams::clear_open(&mut self.upstreams);
        self.limits = LimitStats::default();
    }
}

impl LimitStats {
    fn add(&mut self, other: &Self) {
        for (sum, count) in [(&mut self.sources, other.sources), (&mut self.keys, other.keys)] {
            if let Some(count) = count {
                add_to(sum.get_or_insert(0), count);
            }
        }
        for over in &other.over {
            match self.over.iter_mut().find(|own| (&own.name, &own.limit) == (&over.name, &over.limit)) {
                Some(own) => {
                    add_to(&mut own.current, over.current);
                    add_to(&mut own.closed, over.closed);
                }
                None => self.over.push(over.clone()),
            }
        }
        self.over.sort_by_key(|over| std::cmp::Reverse(over.closed));
        self.over.truncate(MAX_OVER_LIMITS);
    }
}

impl ListenerStats {
    /// Returns the sum of all listeners.
    pub(crate) fn sum(listeners: &[Self]) -> Self {
        let mut sum = Self::default();
        listeners.iter().for_each(|listener| sum.add(listener));
        sum
    }

    /// Returns one entry for each name: several addresses in a config may have one name.
    pub(crate) fn by_name(listeners: &[Self]) -> Vec<Self> {
        let mut named: Vec<Self> = Vec::with_capacity(listeners.len());
        for listener in listeners {
            match named.iter_mut().find(|other| other.name == listener.name) {
                Some(other) => other.add(listener),
                None => named.push(listener.clone()),
            }
        }
        named
    }

    /// Adds the counters of another listener.
    pub(crate) fn add(&mut self, other: &Self) {
        add_to(&mut self.current, other.current);
        add_to(&mut self.accepted, other.accepted);
        add_to(&mut self.retries, other.retries);
        add_to(&mut self.connect_failures, other.connect_failures);
        add_to(&mut self.bytes_in, other.bytes_in);
        add_to(&mut self.bytes_out, other.bytes_out);
        add_counts(&mut self.decisions, &other.decisions);
        add_counts(&mut self.limits, &other.limits);
        add_counts(&mut self.accept_failures, &other.accept_failures);
        add_counts(&mut self.connect_failure_reasons, &other.connect_failure_reasons);
        for end in &other.ends {
            match self.ends.iter_mut().find(|own| own.code == end.code) {
                Some(own) => add_to(&mut own.count, end.count),
                None => self.ends.push(end.clone()),
            }
        }
        self.queue_wait.add(&other.queue_wait);
        self.block_time.add(&other.block_time);
        self.connect_time.add(&other.connect_time);
        self.first_byte.add(&other.first_byte);
        self.tls.add(&other.tls);
    }

    /// Returns the number of errors: connections with a termination code of an error, and blocks without a
    /// valid answer.
    pub(crate) fn errors(&self) -> u64 {
        let ends = self.ends.iter().filter(|end| end.is_error).map(|end| end.count);
        let blocks =
            self.decisions.iter().filter(|decision| decision.is_error()).map(|decision| decision.count);
        ends.chain(blocks).fold(0, u64::saturating_add)
    }

    /// Returns the termination codes that occurred, the most frequent first.
    pub(crate) fn ends_by_count(&self) -> Vec<&TerminationCount> {
        let mut ends: Vec<_> = self.ends.iter().filter(|end| end.count > 0).collect();
        ends.sort_by_key(|end| std::cmp::Reverse(end.count));
        ends
    }
}

impl TlsStats {
    /// Adds the counters of another listener or process.
    pub(crate) fn add(&mut self, other: &Self) {
        for kind in &other.handshakes {
            let is_same =
                |own: &&mut HandshakeCount| HandshakeCount { count: own.count, ..kind.clone() } == **own;
            match self.handshakes.iter_mut().find(is_same) {
                Some(own) => add_to(&mut own.count, kind.count),
                None => self.handshakes.push(kind.clone()),
            }
        }
        add_to(&mut self.truncated, other.truncated);
        self.handshake_time.add(&other.handshake_time);
    }
}

impl BackendStats {
    /// Adds the counters of another process or thread for the same backend.
    pub fn add(&mut self, other: &Self) {
        add_to(&mut self.current, other.current);
        add_to(&mut self.connected, other.connected);
        add_to(&mut self.failed, other.failed);
        add_to(&mut self.bytes_in, other.bytes_in);
        add_to(&mut self.bytes_out, other.bytes_out);
    }
}

impl NamedCount {
    /// Returns whether the counter counts blocks that raised or returned an invalid answer.
    pub(crate) fn is_error(&self) -> bool {
        matches!(&*self.name, "raised" | "invalid")
    }
}

fn add_counts(sums: &mut Vec<NamedCount>, counts: &[NamedCount]) {
    for count in counts {
        match sums.iter_mut().find(|sum| sum.name == count.name) {
            Some(sum) => add_to(&mut sum.count, count.count),
            None => sums.push(count.clone()),
        }
    }
}

/// Returns the sum of all counters.
pub(crate) fn total(counts: &[NamedCount]) -> u64 {
    counts.iter().map(|count| count.count).fold(0, u64::saturating_add)
}

impl Histogram {
    /// Returns the number of durations.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().copied().fold(0, u64::saturating_add)
    }

    /// Returns the mean; None without durations.
    pub(crate) fn mean(&self) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| self.sum / count as f64)
    }

    /// Returns the duration below which a share of all durations lies, interpolated within its bucket.
    /// Durations above the last bound count as that bound. None without durations.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let rank = share * self.count() as f64;
        let mut below = 0.0;
        let mut lower = 0.0;
        for (&count, &upper) in self.counts.iter().zip(self.bounds.iter()) {
            let count = count as f64;
            if count > 0.0 && below + count >= rank {
                return Some(lower + (upper - lower) * ((rank - below) / count));
            }
            below += count;
            lower = upper;
        }
        self.counts.iter().any(|&count| count > 0).then_some(lower)
    }

    /// Adds the durations of another listener, process or kind.
    pub fn add(&mut self, other: &Self) {
        if self.counts.is_empty() {
            *self = other.clone();
            return;
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, count)| add_to(own, *count));
        self.sum += other.sum;
    }

    /// Returns the durations that were added after `older`.
    pub(crate) fn since(&self, older: &Self) -> Self {
        let mut new = self.clone();
        new.counts.iter_mut().zip(&older.counts).for_each(|(own, count)| *own = own.saturating_sub(*count));
        new.sum = (self.sum - older.sum).max(0.0);
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::OverLimit;

    fn histogram(counts: &[u64]) -> Histogram {
        Histogram { bounds: [0.1, 1.0, 10.0].as_slice().into(), counts: counts.into(), sum: 4.0 }
    }

    #[test]
    fn quantile_is_interpolated_within_its_bucket() {
        assert_eq!(histogram(&[10, 0, 0, 0]).quantile(0.5), Some(0.05));
        assert_eq!(histogram(&[5, 5, 0, 0]).quantile(0.5), Some(0.1));
        assert_eq!(histogram(&[0, 0, 4, 0]).quantile(0.25), Some(3.25));
    }

    #[test]
    fn quantile_above_all_bounds_is_the_last_bound() {
        assert_eq!(histogram(&[1, 0, 0, 9]).quantile(0.99), Some(10.0));
    }

    #[test]
    fn quantile_and_mean_are_none_without_durations() {
        assert_eq!(histogram(&[0; 4]).quantile(0.5), None);
        assert_eq!(Histogram::default().quantile(0.5), None);
        assert_eq!(histogram(&[0; 4]).mean(), None);
    }

    #[test]
    fn since_returns_only_newer_durations() {
        let since = histogram(&[5, 5, 1, 0]).since(&histogram(&[5, 3, 1, 0]));
        assert_eq!((since.counts, since.sum), (vec![0, 2, 0, 0], 0.0));
        assert_eq!(histogram(&[5, 5, 1, 0]).since(&Histogram::default()).counts, [5, 5, 1, 0]);
    }

    #[test]
    fn limits_of_several_processes_are_added() {
        let over =
            |name: &str, closed| OverLimit { name: name.into(), closed, current: 1, ..OverLimit::default() };
        let mut sum = LimitStats { sources: Some(2), keys: None, over: vec![over("a", 5)] };
        sum.add(&LimitStats { sources: Some(3), keys: Some(1), over: vec![over("b", 6), over("a", 2)] });
        let expected = OverLimit { current: 2, ..over("a", 7) };
        assert_eq!(sum, LimitStats { sources: Some(5), keys: Some(1), over: vec![expected, over("b", 6)] });
        for number in 0..100 {
            sum.add(&LimitStats { over: vec![over(&number.to_string(), 1)], ..LimitStats::default() });
        }
        assert_eq!((sum.over.len(), &*sum.over[0].name), (MAX_OVER_LIMITS, "a"));
    }

    #[test]
    fn by_name_merges_listeners_with_one_name() {
        let count = |name: &'static str, count| NamedCount { name: name.into(), count };
        let listener = |name: &str, decisions| ListenerStats {
            name: name.into(),
            accepted: 2,
            decisions,
            block_time: histogram(&[1, 2, 3, 4]),
            ..ListenerStats::default()
        };
        let named = ListenerStats::by_name(&[
            listener("a", vec![count("wait", 1)]),
            listener("b", vec![]),
            listener("a", vec![count("close", 3), count("wait", 4)]),
        ]);
        assert_eq!(named.len(), 2);
        assert_eq!(named[0].accepted, 4);
        assert_eq!(named[0].decisions, [count("wait", 5), count("close", 3)]);
        assert_eq!(named[0].block_time.counts, [2, 4, 6, 8]);
        assert_eq!(ListenerStats::sum(&named).block_time.count(), 30);
    }
}
