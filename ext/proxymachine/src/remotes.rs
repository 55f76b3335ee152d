//! What happened with each backend, for the admin: bounded, since a config may name any number of them.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use proxymachine_admin::snapshot;
use proxymachine_engine::{Account, Remote};

use crate::lock;

/// So many have a name; all others are one.
const NAMED: usize = 50;

/// What the others are called. No backend can be called so: it has no port.
const OTHER: &str = "other";

/// The counters. Off, and for nothing, unless somebody shows them.
#[derive(Default)]
pub struct Remotes {
    is_on: AtomicBool,
    counts: Mutex<HashMap<String, snapshot::Remote>>,
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
        let mut all: Vec<_> = lock(&self.counts).values().cloned().collect();
        all.sort_by_key(|remote| {
            (remote.name == OTHER, std::cmp::Reverse(remote.connected), remote.name.clone())
        });
        all
    }

    fn count(&self, remote: &Remote, count: impl FnOnce(&mut snapshot::Remote)) {
        if !self.is_on.load(Relaxed) {
            return;
        }
        let name = remote.to_string();
        let mut counts = lock(&self.counts);
        let name = if counts.len() < NAMED || counts.contains_key(&name) { name } else { OTHER.into() };
        let entry = counts.entry(name).or_insert_with_key(|name| snapshot::Remote {
            name: name.clone(),
            ..snapshot::Remote::default()
        });
        count(entry);
    }
}
