//! Sockets of systemd that no listener uses. systemd passes its sockets once, at the start, so they are kept for a
//! reload or an upgrade whose configuration names them. systemd listens at them in any case.

use std::io;
use std::sync::Mutex;

use proxymachine_engine::Listener;

use crate::convert::{SocketTriple, describe};
use crate::lock;

/// The unused sockets of systemd.
#[derive(Default)]
pub struct SystemdSockets(Mutex<Vec<Listener>>);

impl SystemdSockets {
    /// Takes the sockets of systemd out of `unused`.
    pub fn take(unused: &mut Vec<Listener>) -> Self {
        let mut sockets: Vec<Listener>;
        (sockets, *unused) = std::mem::take(unused).into_iter().partition(Listener::is_systemds);
        sockets.sort_by_key(Listener::id);
        sockets.dedup_by_key(|listener| listener.id());
        Self(Mutex::new(sockets))
    }

    /// Replaces the sockets by others.
    pub fn replace(&self, others: Self) {
        *lock(&self.0) = std::mem::take(&mut *lock(&others.0));
    }

    /// Adds duplicates of the sockets to `open`, without those that are there.
    ///
    /// # Errors
    /// If no descriptors are left.
    pub fn offer(&self, open: &mut Vec<Listener>) -> io::Result<()> {
        for listener in lock(&self.0).iter() {
            if open.iter().all(|other| other.id() != listener.id()) {
                open.push(listener.try_clone()?);
            }
        }
        Ok(())
    }

    /// Returns the sockets, for another process.
    pub fn describe(&self) -> Vec<SocketTriple> {
        lock(&self.0).iter().map(describe).collect()
    }
}
