//! The sources and keys that were closed most often in the last minutes, in bounded memory.

use std::mem;
use std::time::{Duration, Instant};

/// Time that one window covers.
pub(crate) const WINDOW: Duration = Duration::from_secs(60);

/// Offenders that a window remembers.
const MAX_OFFENDERS: usize = 20;

/// A source or key, the limit that it exceeded last, and the number of its connections that were closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offender<K, L> {
    pub(crate) name: K,
    pub(crate) limit: L,
    pub(crate) count: u64,
    /// The part of `count` that may belong to offenders which were displaced.
    inherited: u64,
}

impl<K, L> Offender<K, L> {
    /// Returns the number of connections that were surely this offender's.
    pub(crate) fn known(&self) -> u64 {
        self.count - self.inherited
    }
}

/// The offenders of the current window and of the one before.
#[derive(Debug)]
pub(crate) struct Offenders<K, L> {
    /// Beginning of the current window; `None` until a connection is closed.
    since: Option<Instant>,
    current: Vec<Offender<K, L>>,
    /// Connections closed in the current window.
    total: u64,
    previous: Vec<Offender<K, L>>,
    /// End of the previous window.
    ended: Option<Instant>,
}

/// The worst offender of a window, the number of all connections closed in it, and its age.
pub(crate) type Worst<K, L> = (Offender<K, L>, u64, Duration);

impl<K, L> Default for Offenders<K, L> {
    fn default() -> Self {
        Self { since: None, current: Vec::new(), total: 0, previous: Vec::new(), ended: None }
    }
}

impl<K: Clone + PartialEq, L: Clone> Offenders<K, L> {
    /// Counts a closed connection. Returns whether it begins a window, which [`Offenders::end_window`] ends.
    ///
    /// Each offender with more than a twentieth of all closed connections is remembered: the Space-Saving algorithm
    /// (Metwally, Agrawal, El Abbadi: Efficient Computation of Frequent and Top-k Elements in Data Streams, 2005).
    pub(crate) fn add(&mut self, name: &K, limit: L, now: Instant) -> bool {
        self.total += 1;
        if let Some(known) = self.current.iter_mut().find(|offender| offender.name == *name) {
            known.count += 1;
            known.limit = limit;
        } else if self.current.len() < MAX_OFFENDERS {
            self.current.push(Offender { name: name.clone(), limit, count: 1, inherited: 0 });
        } else if let Some(least) = self.current.iter_mut().min_by_key(|offender| offender.count) {
            let inherited = least.count;
            *least = Offender { name: name.clone(), limit, count: inherited + 1, inherited };
        }
        let is_first = self.since.is_none();
        self.since.get_or_insert(now);
        is_first
    }

    /// Returns the worst offender of the current window.
    pub(crate) fn worst(&self, now: Instant) -> Option<Worst<K, L>> {
        let worst = self.current.iter().max_by_key(|offender| offender.known())?.clone();
        Some((worst, self.total, now.saturating_duration_since(self.since?)))
    }

    /// Ends the window. If more connections than `reported` were closed in it, returns its worst offender and begins
    /// another window at once. Otherwise the next closed connection begins one.
    pub(crate) fn end_window(&mut self, reported: u64, now: Instant) -> Option<Worst<K, L>> {
        let worst = self.worst(now).filter(|(_, total, _)| *total > reported);
        self.previous = mem::take(&mut self.current);
        self.total = 0;
        self.since = worst.is_some().then_some(now);
        self.ended = Some(now);
        worst
    }

    /// Ends a window that is over, for offenders that no task reports.
    pub(crate) fn expire(&mut self, now: Instant) {
        if self.since.is_some_and(|since| now.saturating_duration_since(since) >= WINDOW) {
            self.end_window(u64::MAX, now);
        }
    }

    /// Returns the offenders of the last one or two minutes, the worst first.
    pub(crate) fn recent(&self, now: Instant) -> Vec<Offender<K, L>> {
        let mut recent = self.current.clone();
        let is_recent = self.ended.is_some_and(|ended| now.saturating_duration_since(ended) < WINDOW);
        for old in self.previous.iter().filter(|_| is_recent) {
            match recent.iter_mut().find(|offender| offender.name == old.name) {
                Some(known) => {
                    known.count += old.count;
                    known.inherited += old.inherited;
                }
                None => recent.push(old.clone()),
            }
        }
        recent.sort_by_key(|offender| std::cmp::Reverse(offender.known()));
        recent.truncate(MAX_OFFENDERS);
        recent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn the_worst_is_found_among_many() {
        let (mut offenders, now) = (Offenders::default(), Instant::now());
        for number in 0..10_000 {
            offenders.add(&number, (), now);
            if number % 10 == 0 {
                offenders.add(&4711, (), now);
            }
        }
        let (worst, total, _) = offenders.worst(now).unwrap();
        assert_eq!((worst.name, total), (4711, 11_000));
        assert!((900..=1001).contains(&worst.known()), "{}", worst.known());
        assert_eq!(offenders.recent(now).len(), MAX_OFFENDERS);
    }

    #[test]
    fn a_window_is_reported_at_its_beginning_and_if_more_came_at_its_end() {
        let (mut offenders, start) = (Offenders::default(), Instant::now());
        assert!(offenders.add(&"a", (), start), "the first one begins a window");
        assert!(!offenders.add(&"b", (), start));
        assert!(!offenders.add(&"b", (), start));
        let (worst, total, age) = offenders.end_window(1, at(start, 60)).unwrap();
        assert_eq!((worst.name, worst.known(), total, age), ("b", 2, 3, WINDOW));
        assert!(!offenders.add(&"a", (), at(start, 70)), "the next window has begun already");
        assert_eq!(offenders.end_window(0, at(start, 120)).unwrap().0.name, "a");
        assert!(offenders.end_window(0, at(start, 180)).is_none(), "nothing was closed");
        assert!(offenders.add(&"a", (), at(start, 500)), "begins a window again");
        assert!(offenders.end_window(1, at(start, 560)).is_none(), "the only one was reported");
    }

    #[test]
    fn the_last_two_windows_are_recent() {
        let (mut offenders, start) = (Offenders::default(), Instant::now());
        let recent = |offenders: &Offenders<&'static str, u32>, seconds| {
            let recent = offenders.recent(at(start, seconds));
            recent
                .iter()
                .map(|offender| (offender.name, offender.limit, offender.known()))
                .collect::<Vec<_>>()
        };
        offenders.add(&"a", 1, start);
        offenders.expire(at(start, 59));
        offenders.add(&"a", 2, at(start, 59));
        offenders.expire(at(start, 61));
        offenders.add(&"b", 3, at(start, 61));
        offenders.add(&"a", 4, at(start, 62));
        assert_eq!(recent(&offenders, 62), [("a", 4, 3), ("b", 3, 1)]);
        offenders.expire(at(start, 121));
        assert_eq!(recent(&offenders, 121), [("b", 3, 1), ("a", 4, 1)]);
        assert_eq!(recent(&offenders, 181), []);
    }
}
