//! The last connections that ended by an error, and how often failures of the same kind repeat.
//!
//! The memory is bounded: [`MAX_FAILURES`] connections and [`MAX_GROUPS`] kinds of failures. Nothing that a client or a
//! backend sends is kept.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::snapshot::TerminationCount;

/// Failed connections that are kept.
pub const MAX_FAILURES: usize = 100;

/// Kinds of failures that are counted.
pub const MAX_GROUPS: usize = 100;

/// Seconds without a failure of one kind after which its count starts anew.
const QUIET: f64 = 300.0;

/// The last failures, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Failures {
    /// The last failed connections.
    pub recent: Vec<Failure>,
    /// The kinds of failures, the one that occurred last first.
    pub groups: Vec<FailureGroup>,
}

/// A connection that ended by an error.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Failure {
    /// Time of the end, in seconds since 1970.
    pub at: f64,
    /// Address of the client.
    pub client: String,
    /// Identifier of the connection, as in the access log.
    pub connection: String,
    /// What the failure has in common with others.
    #[serde(flatten)]
    pub kind: FailureKind,
    /// Milliseconds of the phases, as in the access log.
    #[serde(flatten)]
    pub times: FailureTimes,
    /// Rounds of connect attempts after the first one.
    pub retries: u32,
}

/// Milliseconds of the phases of a connection. None: the connection did not reach the phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FailureTimes {
    /// From the accept to the decision, without the time in the block.
    pub waiting_ms: Option<u64>,
    /// In the block.
    pub block_ms: u64,
    /// Connecting, retries included.
    pub connecting_ms: Option<u64>,
    /// From the connect to the backend's first byte.
    pub first_byte_ms: Option<u64>,
    /// From the connect to the end.
    pub relaying_ms: Option<u64>,
    /// From the accept to the end.
    pub total_ms: u64,
}

/// What failures of one kind have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FailureKind {
    /// Name of the listener.
    pub listener: String,
    /// The backend that was tried last.
    pub remote: Option<String>,
    /// Termination code.
    pub code: Cow<'static, str>,
    /// The reason in a word, if the code does not say it.
    pub reason: Option<Cow<'static, str>>,
}

/// Failures of one kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FailureGroup {
    /// What the failures have in common.
    #[serde(flatten)]
    pub kind: FailureKind,
    /// Number of the failures.
    pub count: u64,
    /// Time of the first one, in seconds since 1970.
    pub first: f64,
    /// Time of the last one, in seconds since 1970.
    pub last: f64,
}

impl Failures {
    /// Adds a failure that has just occurred.
    pub fn add(&mut self, failure: Failure) {
        let one = FailureGroup { kind: failure.kind.clone(), count: 1, first: failure.at, last: failure.at };
        self.count(&one);
        self.recent.truncate(MAX_FAILURES - 1);
        self.recent.insert(0, failure);
    }

    /// Adds the failures of another process.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.recent.extend(other.recent.iter().cloned());
        self.recent.sort_by(|one, other| other.at.total_cmp(&one.at));
        self.recent.truncate(MAX_FAILURES);
        other.groups.iter().rev().for_each(|group| self.count(group));
        self.groups.sort_by(|one, other| other.last.total_cmp(&one.last));
    }

    /// Returns the last failures of one kind.
    pub(crate) fn of<'a>(&'a self, kind: &'a FailureKind) -> impl Iterator<Item = &'a Failure> {
        self.recent.iter().filter(move |failure| failure.kind == *kind)
    }

    /// Adds a group to the one of its kind, and moves that one to the front.
    fn count(&mut self, added: &FailureGroup) {
        let known = self.groups.iter().position(|group| group.kind == added.kind);
        let mut group = match known {
            Some(index) => self.groups.remove(index),
            None => {
                self.groups.truncate(MAX_GROUPS - 1);
                FailureGroup { first: added.first, last: added.last, ..added.clone() }
            }
        };
        if known.is_some() {
            group.add(added);
        }
        self.groups.insert(0, group);
    }
}

impl FailureGroup {
    /// Adds failures of the same kind. After a quiet time only the newer ones count.
    fn add(&mut self, other: &Self) {
        if other.first - self.last > QUIET {
            *self = other.clone();
        } else if self.first - other.last <= QUIET {
            self.count += other.count;
            self.first = self.first.min(other.first);
            self.last = self.last.max(other.last);
        }
    }

    /// Returns the number and the time between the first and the last failure: `1,240 times in 5 min 0 s`.
    pub(crate) fn frequency(&self) -> String {
        let times = crate::format::number(self.count);
        match self.count {
            0 | 1 => "once".into(),
            _ => format!("{times} times in {}", crate::format::age((self.last - self.first).max(1.0))),
        }
    }
}

impl FailureKind {
    /// Returns the backend and the reason: `10.0.0.2:80 refused`. Without a reason the meaning of the code tells it.
    pub(crate) fn summary(&self, ends: &[TerminationCount]) -> String {
        let meaning = || ends.iter().find(|end| end.code == self.code).map(|end| &*end.meaning);
        let parts = [self.remote.as_deref(), self.reason.as_deref().or_else(meaning)];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

impl FailureTimes {
    /// Returns the milliseconds as the access log writes them: `0/2/1/14/340/343`.
    pub(crate) fn text(&self) -> String {
        let shown = |millis: Option<u64>| millis.map_or("-1".into(), |millis| millis.to_string());
        [
            shown(self.waiting_ms),
            self.block_ms.to_string(),
            shown(self.connecting_ms),
            shown(self.first_byte_ms),
            shown(self.relaying_ms),
            self.total_ms.to_string(),
        ]
        .join("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(at: f64, remote: &str, client: &str) -> Failure {
        let kind = FailureKind {
            listener: "web".into(),
            remote: Some(remote.into()),
            code: "SC".into(),
            reason: Some("refused".into()),
        };
        Failure { at, client: client.into(), kind, ..Failure::default() }
    }

    fn failures(all: &[(f64, &str)]) -> Failures {
        let mut failures = Failures::default();
        all.iter().for_each(|(at, remote)| failures.add(failure(*at, remote, "192.0.2.1:5")));
        failures
    }

    fn groups(failures: &Failures) -> Vec<(&str, u64, f64, f64)> {
        let group = |group: &'_ FailureGroup| (group.count, group.first, group.last);
        let name = |group: &FailureGroup| group.kind.remote.clone().unwrap_or_default();
        let names: Vec<String> = failures.groups.iter().map(name).collect();
        let names = names.iter().map(|name| if name == "a:1" { "a:1" } else { "b:1" });
        names
            .zip(failures.groups.iter().map(group))
            .map(|(name, (count, first, last))| (name, count, first, last))
            .collect()
    }

    #[test]
    fn failures_of_one_kind_are_counted_the_newest_kind_first() {
        let failures = failures(&[(1.0, "a:1"), (2.0, "b:1"), (5.0, "a:1")]);
        assert_eq!(groups(&failures), [("a:1", 2, 1.0, 5.0), ("b:1", 1, 2.0, 2.0)]);
        assert_eq!(failures.recent.iter().map(|failure| failure.at).collect::<Vec<_>>(), [5.0, 2.0, 1.0]);
        assert_eq!(failures.groups[0].frequency(), "2 times in 4 s");
        assert_eq!(failures.groups[1].frequency(), "once");
        let mut kind = failures.groups[0].kind.clone();
        let meaning =
            TerminationCount { code: "SC".into(), meaning: "gone".into(), ..TerminationCount::default() };
        assert_eq!(kind.summary(std::slice::from_ref(&meaning)), "a:1 refused");
        kind.reason = None;
        assert_eq!((kind.summary(&[meaning]), kind.summary(&[])), ("a:1 gone".into(), "a:1".into()));
        assert_eq!(failures.of(&failures.groups[0].kind).count(), 2);
    }

    #[test]
    fn a_count_starts_anew_after_a_quiet_time() {
        assert_eq!(
            groups(&failures(&[(1.0, "a:1"), (2.0, "a:1"), (303.0, "a:1")])),
            [("a:1", 1, 303.0, 303.0)]
        );
    }

    #[test]
    fn memory_is_bounded() {
        let mut failures = Failures::default();
        for number in 0..1000 {
            failures.add(failure(f64::from(number), &format!("10.0.0.1:{number}"), "192.0.2.1:5"));
        }
        assert_eq!((failures.recent.len(), failures.groups.len()), (MAX_FAILURES, MAX_GROUPS));
        assert_eq!((failures.recent[99].at, failures.groups[99].last), (900.0, 900.0));
        let mut sum = failures.clone();
        sum.merge(&failures);
        assert_eq!((sum.recent.len(), sum.groups.len()), (MAX_FAILURES, MAX_GROUPS));
    }

    #[test]
    fn failures_of_several_processes_are_merged_by_time() {
        let mut sum = failures(&[(1.0, "a:1"), (4.0, "b:1"), (6.0, "a:1")]);
        sum.merge(&failures(&[(2.0, "a:1"), (5.0, "b:1")]));
        assert_eq!(groups(&sum), [("a:1", 3, 1.0, 6.0), ("b:1", 2, 4.0, 5.0)]);
        assert_eq!(
            sum.recent.iter().map(|failure| failure.at).collect::<Vec<_>>(),
            [6.0, 5.0, 4.0, 2.0, 1.0]
        );

        sum.merge(&failures(&[(400.0, "b:1")]));
        assert_eq!(groups(&sum), [("b:1", 1, 400.0, 400.0), ("a:1", 3, 1.0, 6.0)]);
        sum.merge(&failures(&[(5.0, "b:1")]));
        assert_eq!(groups(&sum)[0], ("b:1", 1, 400.0, 400.0));
    }

    #[test]
    fn times_are_those_of_the_access_log() {
        let times =
            FailureTimes { block_ms: 2, connecting_ms: Some(1), total_ms: 3, ..FailureTimes::default() };
        assert_eq!(times.text(), "-1/2/1/-1/-1/3");
    }
}
