//! Counters by backend for the admin address. Their number is bounded, since a config may name any number of
//! backends.
//!
//! Each engine thread counts in its own shard, so that only a snapshot contends for the lock of a shard.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use proxymachine_admin::snapshot::BackendStats;
use proxymachine_engine::observer::metrics::{SHARDS, shard_of_thread};
use proxymachine_engine::{ConnectionRecord, Remote};

use crate::lock;

/// Backends that a shard counts by name. All further ones are counted as `OTHER`.
const MAX_NAMED: usize = 50;

/// Name of the sum of all further backends. No backend has this name, since it has no port.
const OTHER: &str = "other";

type Shard = HashMap<Box<str>, BackendStats>;

/// The counters. They are off, and cost nothing, without an admin address.
#[derive(Default)]
pub struct BackendCounters {
    is_on: AtomicBool,
    shards: [Mutex<Shard>; SHARDS],
}

impl BackendCounters {
    /// Starts counting.
    pub fn turn_on(&self) {
        self.is_on.store(true, Relaxed);
    }

    /// Counts a connection to a backend.
    pub fn connected(&self, remote: &Remote) {
        self.count(remote, |counts| {
            counts.current += 1;
            counts.connected += 1;
        });
    }

    /// Counts a connect attempt that failed.
    pub fn failed(&self, remote: &Remote) {
        self.count(remote, |counts| counts.failed += 1);
    }

    /// Counts the bytes of a connection that has ended.
    pub fn finished(&self, record: &ConnectionRecord) {
        if let Some(remote) = record.remote().filter(|_| record.is_connected()) {
            self.count(remote, |counts| {
                counts.current = counts.current.saturating_sub(1);
                counts.bytes_in += record.to_backend();
                counts.bytes_out += record.to_client();
            });
        }
    }

    /// Returns the counters of all backends, the busiest first, `OTHER` last.
    pub fn snapshot(&self) -> Vec<BackendStats> {
        let mut sums: HashMap<String, BackendStats> = HashMap::new();
        for shard in &self.shards {
            for (name, counts) in lock(shard).iter() {
                let sum = sums.entry(name.to_string()).or_default();
                sum.name = name.to_string();
                sum.add(counts);
            }
        }
        let mut all: Vec<_> = sums.into_values().collect();
        all.sort_by_key(|backend| {
            (backend.name == OTHER, std::cmp::Reverse(backend.connected), backend.name.clone())
        });
        all
    }

    fn count(&self, remote: &Remote, count: impl FnOnce(&mut BackendStats)) {
        if !self.is_on.load(Relaxed) {
            return;
        }
        let name = remote.as_str();
        let mut shard = lock(&self.shards[shard_of_thread()]);
        if let Some(counts) = shard.get_mut(name) {
            return count(counts);
        }
        let name = if shard.len() < MAX_NAMED { name } else { OTHER };
        count(shard.entry(name.into()).or_default());
    }
}
