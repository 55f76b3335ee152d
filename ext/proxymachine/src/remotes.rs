//! What happened with each backend, for the admin: bounded, since a config may name any number of them.
//!
//! Each thread counts in a shard of its own, whose lock nobody else wants but who looks.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use proxymachine_admin::snapshot;
use proxymachine_engine::meters::{SHARDS, shard_of_thread};
use proxymachine_engine::{Account, Remote};

use crate::lock;

/// So many have a name in a shard; all others are one.
const NAMED: usize = 50;

/// What the others are called. No backend can be called so: it has no port.
const OTHER: &str = "other";

type Shard = HashMap<Box<str>, snapshot::Remote>;

/// The counters. Off, and for nothing, unless somebody shows them.
#[derive(Default)]
pub struct Remotes {
    is_on: AtomicBool,
    shards: [Mutex<Shard>; SHARDS],
}

impl Remotes {
    pub fn turn_on(&self) {
        self.is_on.store(true, Relaxed);
    }

    pub fn connected(&self, remote: &Remote) {
        self.count(remote, |counts| {
            counts.current += 1;
            counts.connected += 1;
        });
    }

    pub fn failed(&self, remote: &Remote) {
        self.count(remote, |counts| counts.failed += 1);
    }

    pub fn finished(&self, account: &Account) {
        if let Some(remote) = account.remote().filter(|_| account.is_connected()) {
            self.count(remote, |counts| {
                counts.current = counts.current.saturating_sub(1);
                counts.bytes_in += account.to_server();
                counts.bytes_out += account.to_client();
            });
        }
    }

    /// The busiest first, the others last.
    pub fn snapshot(&self) -> Vec<snapshot::Remote> {
        let mut sums: HashMap<String, snapshot::Remote> = HashMap::new();
        for shard in &self.shards {
            for (name, counts) in lock(shard).iter() {
                let sum = sums.entry(name.to_string()).or_default();
                sum.name = name.to_string();
                sum.add(counts);
            }
        }
        let mut all: Vec<_> = sums.into_values().collect();
        all.sort_by_key(|remote| {
            (remote.name == OTHER, std::cmp::Reverse(remote.connected), remote.name.clone())
        });
        all
    }

    fn count(&self, remote: &Remote, count: impl FnOnce(&mut snapshot::Remote)) {
        if !self.is_on.load(Relaxed) {
            return;
        }
        let name = remote.as_str();
        let mut shard = lock(&self.shards[shard_of_thread()]);
        if let Some(counts) = shard.get_mut(name) {
            return count(counts);
        }
        let name = if shard.len() < NAMED { name } else { OTHER };
        count(shard.entry(name.into()).or_default());
    }
}
