//! Upstreams: groups of servers, of which each connection gets one.
//!
//! The choice is made at dial time, on the engine thread of the connection (`dial/upstream.rs`). All engine threads share the
//! state of an upstream (`upstream/state.rs`), which is locked for the choice, at the backend's first byte and at the end of a
//! connection.

mod definition;
mod demand;
mod health;
mod hub;
mod lease;
mod pool;
#[cfg(test)]
mod properties;
mod queue;
mod registry;
mod rendezvous;
mod server;
mod slot_set;
mod state;
#[cfg(test)]
mod tests;
pub(crate) mod watch;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

pub use definition::{Balance, Definition, Options};
pub use hub::Event;
pub use registry::{UpstreamStatus, Upstreams};
pub use rendezvous::Key;
pub use server::{Change, ServerStatus};

use self::demand::{Epoch, Held};
use self::hub::Hub;
pub(crate) use self::lease::{Hold, Lease};
use self::queue::Ticket;
pub(crate) use self::slot_set::SlotSet;
use self::state::{Choice, Pick, State};
use crate::Remote;
use crate::proxy_protocol::Version;
use crate::tls::Authorities;

/// An upstream. Its state and its counts survive a reload.
pub struct Upstream {
    name: Arc<str>,
    inner: Mutex<Inner>,
    hub: Arc<Hub>,
    /// Notified when a client that is held may have something else to do.
    released: Notify,
}

struct Inner {
    state: State,
    dial_options: Arc<DialOptions>,
    /// The clients in the queue, by their tickets.
    waiting: HashMap<Ticket, oneshot::Sender<Lease>>,
    /// The servers and weights as they were declared.
    declared: Vec<(Remote, u32)>,
    /// The addresses of the declared names that were looked up.
    found: HashMap<Box<str>, Vec<SocketAddr>>,
    /// Whether a task tries whether a server answers, since clients are held.
    is_probed: bool,
}

/// The options of an upstream that dialing needs.
#[derive(Debug, Clone)]
pub(crate) struct DialOptions {
    pub(crate) tls: Option<Authorities>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) proxy_protocol: Option<Version>,
    pub(crate) queue_timeout: Duration,
    /// Limit of the time for which a client that finds no server is held.
    pub(crate) hold: Option<Duration>,
}

impl DialOptions {
    fn of(options: &Options) -> Self {
        Self {
            tls: options.tls.clone(),
            connect_timeout: options.connect_timeout,
            proxy_protocol: options.proxy_protocol,
            queue_timeout: options.queue_timeout,
            hold: options.hold,
        }
    }
}

/// What an upstream has for a client.
pub(crate) enum Acquired {
    /// A server.
    Lease(Box<Lease>),
    /// A place in the queue: the server comes when the client's turn has come.
    Queued(Queued),
    /// No server has room, and the client may not wait.
    Full,
    /// There is no server that the client has not tried.
    Exhausted,
    /// No server is up, and the client may be held.
    Asleep,
}

/// A place in the queue. Dropping it leaves the queue.
pub(crate) struct Queued {
    upstream: Arc<Upstream>,
    ticket: Ticket,
    pub(crate) granted: oneshot::Receiver<Lease>,
}

impl Drop for Queued {
    fn drop(&mut self) {
        let mut inner = self.upstream.lock();
        inner.state.queue.remove(self.ticket);
        inner.waiting.remove(&self.ticket);
    }
}

impl Upstream {
    pub(crate) fn new(definition: Definition, hub: Arc<Hub>) -> Arc<Self> {
        let Definition { name, servers, options } = definition;
        let inner = Inner {
            dial_options: Arc::new(DialOptions::of(&options)),
            state: State::new(options, Instant::now()),
            waiting: HashMap::new(),
            declared: Vec::new(),
            found: HashMap::new(),
            is_probed: false,
        };
        let upstream =
            Arc::new(Self { name: name.into(), inner: Mutex::new(inner), hub, released: Notify::new() });
        upstream.set_servers(servers);
        upstream
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No change can be interrupted halfway, except by a defect that a panic reports.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state. Then gives free servers to the clients in the queue, wakes those that are held, and reports changes.
    fn change<T>(self: &Arc<Self>, act: impl FnOnce(&mut Inner, Instant) -> T) -> T {
        let now = Instant::now();
        let mut inner = self.lock();
        let epoch = inner.state.demand.epoch();
        let result = act(&mut inner, now);
        let is_released = inner.state.demand.epoch() != epoch;
        if !is_released && inner.state.queue.len() == 0 && !inner.state.has_changes() {
            return result; // As at the beginning and the end of most connections.
        }
        let leases = self.leases(&mut inner, now);
        let changes = inner.state.take_changes();
        drop(inner);
        if is_released {
            self.released.notify_waiters();
        }
        for (sender, lease) in leases {
            // If the client has just left, the lease goes to the next one.
            let _ = sender.send(lease);
        }
        for change in changes {
            self.hub.report(&self.name, change);
        }
        result
    }

    /// Takes the clients from the queue for which there is a server now.
    fn leases(self: &Arc<Self>, inner: &mut Inner, now: Instant) -> Vec<(oneshot::Sender<Lease>, Lease)> {
        if inner.state.queue.len() == 0 {
            return Vec::new();
        }
        let mut leases = Vec::new();
        for (ticket, choice) in inner.state.serve_queue(now) {
            match inner.waiting.remove(&ticket) {
                Some(sender) => leases.push((sender, self.lease(inner, choice))),
                None => inner.state.release(choice.slot, choice.is_trial, now), // Each ticket has its client.
            }
        }
        leases
    }

    fn lease(self: &Arc<Self>, inner: &Inner, choice: Choice) -> Lease {
        let Choice { slot, is_trial } = choice;
        let server = inner.state.server(slot);
        let names = (server.remote.clone(), server.declared.clone());
        let down = inner.state.down_signal(slot);
        let tells_connect = is_trial || inner.state.options.can_stop;
        Lease::new(Arc::clone(self), slot, (is_trial, tells_connect), names, down)
    }

    /// Chooses a server that the client has not tried, or a place in the queue. `may_wait` is false for a client whose wait is
    /// over. Returns the options for dialing, too.
    pub(crate) fn acquire(
        self: &Arc<Self>,
        key: Option<Key>,
        tried: &SlotSet,
        may_wait: bool,
    ) -> (Acquired, Arc<DialOptions>) {
        self.change(|inner, now| {
            let acquired = self.acquire_now(inner, key, tried, may_wait, now);
            (acquired, Arc::clone(&inner.dial_options))
        })
    }

    fn acquire_now(
        self: &Arc<Self>,
        inner: &mut Inner,
        key: Option<Key>,
        tried: &SlotSet,
        may_wait: bool,
        now: Instant,
    ) -> Acquired {
        if inner.state.options.hold.is_some() && inner.state.is_asleep(now) {
            return Acquired::Asleep;
        }
        // A pause may have ended, and then the clients in the queue go first.
        let waits = inner.state.queue.len() > 0;
        if waits && inner.state.next_trial().is_some_and(|at| at <= now) {
            return self.enqueue(inner, key, tried, may_wait);
        }
        match inner.state.pick(key, tried, now) {
            Pick::Server(choice) => Acquired::Lease(Box::new(self.lease(inner, choice))),
            Pick::Exhausted => Acquired::Exhausted,
            Pick::Full => self.enqueue(inner, key, tried, may_wait),
        }
    }

    fn enqueue(
        self: &Arc<Self>,
        inner: &mut Inner,
        key: Option<Key>,
        tried: &SlotSet,
        may_wait: bool,
    ) -> Acquired {
        let ticket = if may_wait { inner.state.enqueue(key, tried) } else { None };
        let Some(ticket) = ticket else { return Acquired::Full };
        let (sender, granted) = oneshot::channel();
        inner.waiting.insert(ticket, sender);
        Acquired::Queued(Queued { upstream: Arc::clone(self), ticket, granted })
    }

    /// Returns when the queue has to be looked at again, since a server may then be tried.
    pub(crate) fn next_trial(&self) -> Option<Instant> {
        self.lock().state.next_trial()
    }

    /// Tells whether a client that has been held for a second may try a server, although none is known to answer: its pause is
    /// over, or checks are made outside of the engine and have not noticed that the server was away.
    pub(crate) fn may_try(&self, held: Duration) -> bool {
        let inner = self.lock();
        let is_due = inner.state.next_trial().is_some_and(|at| at <= Instant::now());
        let is_overlooked = inner.state.options.is_checked_outside && held >= Duration::from_secs(1);
        (is_due || is_overlooked) && !inner.state.is_asleep(Instant::now())
    }

    /// Gives servers whose pause has ended to the clients in the queue.
    pub(crate) fn serve_queue(self: &Arc<Self>) {
        self.change(|_, _| ());
    }

    /// Replaces the declared servers.
    pub(crate) fn set_servers(self: &Arc<Self>, servers: Vec<(Remote, u32)>) {
        self.change(|inner, _| {
            inner.declared = servers;
            inner.relist();
        });
        self.hub.upstreams_changed.notify_waiters();
    }

    /// Replaces the addresses of a declared name. Returns whether they are others than before.
    pub(crate) fn set_addresses(self: &Arc<Self>, name: &str, addresses: Vec<SocketAddr>) -> bool {
        let has_changed = self.change(|inner, _| {
            let old = inner.found.insert(name.into(), addresses.clone());
            let has_changed = old.is_none_or(|old| old != addresses);
            if has_changed {
                inner.relist();
            }
            has_changed
        });
        if has_changed {
            self.hub.upstreams_changed.notify_waiters();
        }
        has_changed
    }

    pub(crate) fn redefine(self: &Arc<Self>, definition: Definition) {
        self.change(|inner, _| {
            inner.dial_options = Arc::new(DialOptions::of(&definition.options));
            inner.state.set_options(definition.options);
        });
        self.set_servers(definition.servers);
    }

    /// Counts a client that is held from now on.
    pub(crate) fn hold(self: &Arc<Self>, is_eager: bool) -> Hold {
        let epoch = self.change(|inner, _| {
            inner.state.demand.hold(is_eager);
            inner.state.demand.epoch()
        });
        if is_eager {
            self.hub.wake();
        }
        Hold::new(Arc::clone(self), epoch, is_eager)
    }

    fn held_since(&self, epoch: Epoch) -> Held {
        self.lock().state.demand.held_since(epoch)
    }
}

impl Inner {
    /// Puts the declared servers, or the addresses of their names, into the list.
    fn relist(&mut self) {
        let resolves = self.state.options.resolve.is_some();
        if !resolves {
            self.found.clear();
        }
        let declared = std::mem::take(&mut self.declared);
        self.found.retain(|name, _| declared.iter().any(|(remote, _)| remote.as_str() == &**name));
        let found = &self.found;
        let expand = |(remote, weight): &(Remote, u32)| -> Vec<(Remote, Remote, u32)> {
            match found.get(remote.as_str()) {
                Some(addresses) => addresses
                    .iter()
                    .map(|address| (Remote::from(*address), remote.clone(), *weight))
                    .collect(),
                None => vec![(remote.clone(), remote.clone(), *weight)],
            }
        };
        let list: Vec<_> = declared.iter().flat_map(expand).collect();
        self.declared = declared;
        self.state.set_servers(list);
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("name", &self.name).finish_non_exhaustive()
    }
}

impl std::fmt::Display for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}
