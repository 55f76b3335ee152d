//! What a client has of an upstream: a connection to one of its servers, or a place among those that are held.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Upstream;
use super::demand::{Epoch, Held};
use super::hub::Event;
use super::state::Slot;
use crate::Remote;

/// A connection to a server of an upstream. It counts until it is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    upstream: Arc<Upstream>,
    slot: Slot,
    remote: Remote,
    /// The server as it was declared.
    declared: Remote,
    /// Whether the client tries a server that was out.
    is_trial: bool,
    /// Whether the upstream wants to know of the connect.
    tells_connect: bool,
    /// Whether the server has sent a byte, or has failed.
    is_decided: bool,
    /// Notified when a check finds the server down, if that ends its sessions.
    down: Option<watch::Receiver<()>>,
}

impl Lease {
    pub(crate) fn new(
        upstream: Arc<Upstream>,
        slot: Slot,
        (is_trial, tells_connect): (bool, bool),
        (remote, declared): (Remote, Remote),
        down: Option<watch::Receiver<()>>,
    ) -> Self {
        Self { upstream, slot, remote, declared, is_trial, tells_connect, is_decided: false, down }
    }

    /// Returns the server.
    pub(crate) fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Returns the server as it was declared: a lookup may have made several of one name.
    pub(crate) fn declared(&self) -> &Remote {
        &self.declared
    }

    pub(crate) fn slot(&self) -> Slot {
        self.slot
    }

    /// Records that the client is connected.
    pub(crate) fn connected(&self) {
        if !self.tells_connect {
            return;
        }
        let mut inner = self.upstream.lock();
        let is_news = inner.state.connected(self.slot, self.is_trial, Instant::now());
        let can_stop = inner.state.options.can_stop;
        drop(inner);
        if is_news && can_stop {
            self.upstream.hub.share(Event::Reached { upstream: Arc::clone(&self.upstream.name) });
        }
    }

    /// Records that the server has failed.
    pub(crate) fn failed(&mut self, reason: &str) {
        if !std::mem::replace(&mut self.is_decided, true) {
            self.upstream.change(|inner, now| inner.state.failed(self.slot, self.is_trial, reason, now));
        }
    }

    /// Records that the server has sent its first byte.
    pub(crate) fn succeeded(&mut self) {
        self.is_decided = true;
        if !self.upstream.lock().state.is_spotless(self.slot) {
            self.upstream.change(|inner, _| inner.state.succeeded(self.slot));
        }
    }

    /// Returns what resolves when a check finds the server down, if that ends its sessions.
    pub(crate) fn take_down_signal(&mut self) -> Option<impl Future<Output = ()> + Send + use<>> {
        let mut down = self.down.take()?;
        Some(async move {
            if down.changed().await.is_err() {
                // Nothing ends the sessions any more.
                std::future::pending::<()>().await;
            }
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let is_undecided_trial = self.is_trial && !self.is_decided;
        let idle_at = self.upstream.change(|inner, now| {
            inner.state.release(self.slot, is_undecided_trial, now);
            inner.state.idle_at()
        });
        self.upstream.hub.wake_before(idle_at);
    }
}

/// A client that is held until a server answers. It counts until it is dropped.
pub(crate) struct Hold {
    upstream: Arc<Upstream>,
    epoch: Epoch,
    is_eager: bool,
}

impl Hold {
    pub(crate) fn new(upstream: Arc<Upstream>, epoch: Epoch, is_eager: bool) -> Self {
        Self { upstream, epoch, is_eager }
    }

    /// Resolves when a server answers, to `true`, or when the servers could not be started, to `false`.
    pub(crate) async fn released(&self) -> bool {
        loop {
            // Created before the state is read, so that no change is missed.
            let mut released = std::pin::pin!(self.upstream.released.notified());
            released.as_mut().enable();
            match self.upstream.held_since(self.epoch) {
                Held::Connect => return true,
                Held::GiveUp => return false,
                Held::Wait => released.await,
            }
        }
    }

    /// Records whether the client has sent something and may still want an answer.
    pub(crate) fn set_eager(&mut self, is_eager: bool) {
        if std::mem::replace(&mut self.is_eager, is_eager) == is_eager {
            return;
        }
        self.upstream.change(|inner, _| {
            if is_eager {
                inner.state.demand.became_eager(self.epoch);
            } else {
                inner.state.demand.lost_interest(self.epoch);
            }
        });
        if is_eager {
            self.upstream.hub.wake();
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let idle_at = self.upstream.change(|inner, now| {
            inner.state.demand.let_go(self.is_eager, self.epoch, now);
            inner.state.idle_at()
        });
        self.upstream.hub.wake_before(idle_at);
    }
}
