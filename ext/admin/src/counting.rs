//! Arithmetic on what was counted: sums of listeners, differences and quantiles of histograms.

use crate::snapshot::{Count, Histogram, Listener, Remote};

impl Listener {
    /// All of them as one.
    pub(crate) fn sum(listeners: &[Self]) -> Self {
        let mut sum = Self::default();
        listeners.iter().for_each(|listener| sum.add(listener));
        sum
    }

    /// One for each name: a config may give several addresses the same.
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

    pub(crate) fn add(&mut self, other: &Self) {
        self.current += other.current;
        self.accepted += other.accepted;
        self.retries += other.retries;
        self.connect_failures += other.connect_failures;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        add_counts(&mut self.decisions, &other.decisions);
        add_counts(&mut self.limits, &other.limits);
        for end in &other.ends {
            match self.ends.iter_mut().find(|own| own.code == end.code) {
                Some(own) => own.count += end.count,
                None => self.ends.push(end.clone()),
            }
        }
        self.queue_wait.add(&other.queue_wait);
        self.block_time.add(&other.block_time);
        self.connect_time.add(&other.connect_time);
        self.first_byte.add(&other.first_byte);
    }

    /// What somebody should look into: connections that ended so, and blocks that gave no answer.
    pub(crate) fn errors(&self) -> u64 {
        let ends = self.ends.iter().filter(|end| end.is_error).map(|end| end.count);
        let blocks =
            self.decisions.iter().filter(|decision| decision.is_error()).map(|decision| decision.count);
        ends.chain(blocks).sum()
    }
}

impl Remote {
    /// More of the same.
    pub fn add(&mut self, other: &Self) {
        self.current += other.current;
        self.connected += other.connected;
        self.failed += other.failed;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
    }
}

impl Count {
    /// Whether it counts blocks that raised, or whose answer was none.
    pub(crate) fn is_error(&self) -> bool {
        matches!(&*self.name, "raised" | "invalid")
    }
}

fn add_counts(sums: &mut Vec<Count>, counts: &[Count]) {
    for count in counts {
        match sums.iter_mut().find(|sum| sum.name == count.name) {
            Some(sum) => sum.count += count.count,
            None => sums.push(count.clone()),
        }
    }
}

/// How many there are of everything.
pub(crate) fn total(counts: &[Count]) -> u64 {
    counts.iter().map(|count| count.count).sum()
}

impl Histogram {
    /// How many durations there were.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// None if there was none.
    pub(crate) fn mean(&self) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| self.sum / count as f64)
    }

    /// What a part `share` of the durations stayed below, as well as the buckets can tell: what is above
    /// all bounds counts as the last one. None if there was none.
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

    fn add(&mut self, other: &Self) {
        if self.counts.is_empty() {
            *self = other.clone();
            return;
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, count)| *own += count);
        self.sum += other.sum;
    }

    /// What has come since `older`.
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

    fn histogram(counts: &[u64]) -> Histogram {
        Histogram { bounds: [0.1, 1.0, 10.0].as_slice().into(), counts: counts.into(), sum: 4.0 }
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        assert_eq!(histogram(&[10, 0, 0, 0]).quantile(0.5), Some(0.05));
        assert_eq!(histogram(&[5, 5, 0, 0]).quantile(0.5), Some(0.1));
        assert_eq!(histogram(&[0, 0, 4, 0]).quantile(0.25), Some(3.25));
    }

    #[test]
    fn what_is_above_all_bounds_counts_as_the_last() {
        assert_eq!(histogram(&[1, 0, 0, 9]).quantile(0.99), Some(10.0));
    }

    #[test]
    fn without_durations_there_is_no_quantile_and_no_mean() {
        assert_eq!(histogram(&[0; 4]).quantile(0.5), None);
        assert_eq!(Histogram::default().quantile(0.5), None);
        assert_eq!(histogram(&[0; 4]).mean(), None);
    }

    #[test]
    fn a_difference_is_what_has_come_since() {
        let since = histogram(&[5, 5, 1, 0]).since(&histogram(&[5, 3, 1, 0]));
        assert_eq!((since.counts, since.sum), (vec![0, 2, 0, 0], 0.0));
        // What was not counted before has all come since.
        assert_eq!(histogram(&[5, 5, 1, 0]).since(&Histogram::default()).counts, [5, 5, 1, 0]);
    }

    #[test]
    fn listeners_of_one_name_are_one() {
        let count = |name: &'static str, count| Count { name: name.into(), count };
        let listener = |name: &str, decisions| Listener {
            name: name.into(),
            accepted: 2,
            decisions,
            block_time: histogram(&[1, 2, 3, 4]),
            ..Listener::default()
        };
        let named = Listener::by_name(&[
            listener("a", vec![count("wait", 1)]),
            listener("b", vec![]),
            listener("a", vec![count("close", 3), count("wait", 4)]),
        ]);
        assert_eq!(named.len(), 2);
        assert_eq!(named[0].accepted, 4);
        assert_eq!(named[0].decisions, [count("wait", 5), count("close", 3)]);
        assert_eq!(named[0].block_time.counts, [2, 4, 6, 8]);
        assert_eq!(Listener::sum(&named).block_time.count(), 30);
    }
}
