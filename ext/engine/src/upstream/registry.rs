//! The upstreams of the configuration, by name.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::demand::Phase;
use super::hub::{Event, Hub};
use super::{Change, Definition, ServerStatus, Upstream};
use crate::Remote;

/// Few names, of which each connection looks one up: faster than a hash.
type ByName = BTreeMap<Box<str>, Arc<Upstream>>;

/// The upstreams of an engine.
///
/// ```
/// # use proxymachine_engine::upstream::{Definition, Options, Upstreams};
/// let upstreams = Upstreams::default();
/// let servers = vec![("10.0.0.1:5432".parse().unwrap(), 1)];
/// upstreams.define(vec![Definition { name: "db".into(), servers, options: Options::default() }]);
/// assert_eq!(upstreams.get("db").unwrap().name(), "db");
/// assert!(upstreams.get("web").is_none());
/// ```
#[derive(Default)]
pub struct Upstreams {
    by_name: RwLock<ByName>,
    /// Upstreams that are no longer declared but still have clients: declared again, they go on counting.
    retired: Mutex<HashMap<Box<str>, Weak<Upstream>>>,
    pub(crate) hub: Arc<Hub>,
}

/// An upstream for the status page.
#[derive(Debug, Clone)]
pub struct UpstreamStatus {
    /// The name.
    pub name: String,
    /// Clients in the queue.
    pub queue: usize,
    /// Clients that are held until a server answers.
    pub held: usize,
    /// Connections to all servers, also to those that are no longer listed.
    pub connections: u64,
    /// Time since the last connection has ended; `None` while there is one.
    pub idle: Option<Duration>,
    /// Whether the servers were started, or a client has reached one since they were stopped.
    pub was_reached: bool,
    /// `running`, `starting`, `stopping` or `stopped`.
    pub phase: &'static str,
    /// The servers, in the order of the list.
    pub servers: Vec<ServerStatus>,
}

impl Upstreams {
    fn by_name(&self) -> RwLockReadGuard<'_, ByName> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the declared upstreams into effect. One with the name of another one before goes on with its state.
    pub fn define(&self, definitions: Vec<Definition>) {
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let mut old = std::mem::take(&mut *by_name);
        for definition in definitions {
            let name: Box<str> = definition.name.as_str().into();
            let known = old.remove(&name).or_else(|| retired.remove(&name)?.upgrade());
            let upstream = match known {
                Some(upstream) => {
                    upstream.redefine(definition);
                    upstream
                }
                None => Upstream::new(definition, Arc::clone(&self.hub)),
            };
            by_name.insert(name, upstream);
        }
        retired.retain(|_, upstream| upstream.strong_count() > 0);
        retired.extend(old.into_iter().map(|(name, upstream)| (name, Arc::downgrade(&upstream))));
        drop((by_name, retired));
        self.hub.upstreams_changed.notify_waiters();
        self.hub.wake();
    }

    /// Returns the upstream with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Upstream>> {
        self.by_name().get(name).cloned()
    }

    /// Lists the upstreams.
    pub(crate) fn all(&self) -> Vec<Arc<Upstream>> {
        self.by_name().values().cloned().collect()
    }

    /// Replaces the servers of an upstream. Returns `false` if there is no such upstream.
    pub fn set_servers(&self, name: &str, servers: Vec<(Remote, u32)>) -> bool {
        self.get(name).map(|upstream| upstream.set_servers(servers)).is_some()
    }

    /// Records a check of a server that was made outside of the engine: whether the server is up, and the weight that the check
    /// has set.
    pub fn set_check(&self, name: &str, server: &str, is_up: bool, weight: Option<u32>, reason: &str) {
        if let Some(upstream) = self.get(name) {
            upstream.record_check(server, is_up, weight, reason);
        }
    }

    /// Sets the state of a server, as the checks of another process have found it.
    pub fn set_state(&self, name: &str, server: &str, is_up: bool, weight: Option<u32>, reason: &str) {
        if let Some(upstream) = self.get(name) {
            upstream.change(|inner, _| {
                if let Some(slot) = inner.state.find(server) {
                    inner.state.set_checked(slot, is_up, weight, reason);
                }
            });
        }
    }

    /// Sets the addresses of a declared name, as another process has found them.
    pub fn set_addresses(&self, name: &str, declared: &str, addresses: Vec<std::net::SocketAddr>) {
        if let Some(upstream) = self.get(name) {
            upstream.set_addresses(declared, addresses);
        }
    }

    /// Sets whether this process checks servers and looks up names. The default is yes.
    pub fn set_does_checks(&self, does_checks: bool) {
        self.hub.does_checks.store(does_checks, Relaxed);
        self.hub.upstreams_changed.notify_waiters();
    }

    /// Sets whether the results of checks and lookups are events. The default is no.
    pub fn set_shares_checks(&self, shares_checks: bool) {
        self.hub.shares_checks.store(shares_checks, Relaxed);
    }

    /// Sets what receives the changes of all upstreams, on any thread. Only the first call has an effect.
    pub fn set_reporter(&self, reporter: impl Fn(&str, &Change) + Send + Sync + 'static) {
        self.hub.set_reporter(Box::new(reporter));
    }

    /// Sets what is called, on any thread, when [`Upstreams::events`] may have more. Only the first call has an effect.
    pub fn set_wake(&self, wake: impl Fn() + Send + Sync + 'static) {
        self.hub.set_wake(Box::new(wake));
    }

    /// Takes the events. Returns them, and the time after which there may be more although nothing wakes the caller.
    pub fn events(&self) -> (Vec<Event>, Option<Duration>) {
        let now = Instant::now();
        // Whatever happens from here on wakes the caller.
        self.hub.set_next_look(None);
        let mut events = self.hub.take_events();
        let mut next: Option<Instant> = None;
        for upstream in self.all() {
            let (event, due) = upstream.next_event(now);
            events.extend(event);
            next = next.into_iter().chain(due).min();
        }
        self.hub.set_next_look(next);
        (events, next.map(|next| next.saturating_duration_since(now)))
    }

    /// Records that the servers were started, or that a client of another process has reached one: this process, too, has them
    /// stopped when they are idle.
    pub fn reached(&self, name: &str) {
        if let Some(upstream) = self.get(name) {
            upstream.change(|inner, _| inner.state.demand.reached());
            self.hub.wake();
        }
    }

    /// Marks the servers of an upstream as being started by another process.
    pub fn starting(&self, name: &str) {
        if let Some(upstream) = self.get(name) {
            upstream.change(|inner, _| inner.state.demand.starting());
        }
    }

    /// Ends a start, which has returned that long ago. If it has failed, the clients that are held give up.
    pub fn started(&self, name: &str, ok: bool, ago: Duration) {
        if let Some(upstream) = self.get(name) {
            upstream.change(|inner, now| {
                let hold = inner.state.options.hold.unwrap_or_default();
                inner.state.demand.started(ok, hold.saturating_sub(ago), now);
            });
            self.hub.wake();
        }
    }

    /// Marks the servers of an upstream as being stopped by another process. Returns `false` if clients are connected or wait,
    /// or were connected too recently.
    pub fn stopping(&self, name: &str) -> bool {
        self.get(name).is_none_or(|upstream| {
            upstream.change(|inner, now| {
                let (open, idle) = (inner.state.open(), inner.state.options.idle);
                let demand = &mut inner.state.demand;
                demand.was_idle(idle, now) && demand.begin_stop(open)
            })
        })
    }

    /// Ends a stop: the servers are stopped (`Some(true)`), that has failed (`Some(false)`), or it was not tried (`None`).
    pub fn stopped(&self, name: &str, outcome: Option<bool>) {
        if let Some(upstream) = self.get(name) {
            upstream.change(|inner, now| {
                let idle = inner.state.options.idle;
                inner.state.demand.stopped(outcome, idle, now);
            });
            self.hub.wake();
        }
    }

    /// Returns all upstreams for the status page, in the order of their names.
    #[must_use]
    pub fn status(&self) -> Vec<UpstreamStatus> {
        let mut all: Vec<_> = self.all().iter().map(|upstream| upstream.status()).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }
}

impl Upstream {
    /// Records a check of a server, unless the server is no longer listed.
    pub(crate) fn record_check(
        self: &Arc<Self>,
        server: &str,
        is_up: bool,
        weight: Option<u32>,
        reason: &str,
    ) {
        let changed = self.change(|inner, _| {
            let slot = inner.state.find(server)?;
            let has_changed = inner.state.check(slot, is_up, weight, reason);
            let server = inner.state.server(slot);
            let is_up = server.health.checked() == Some(true);
            has_changed.then(|| (server.remote.clone(), is_up, server.checked_weight))
        });
        if let Some((server, is_up, weight)) = changed {
            let (upstream, reason) = (Arc::clone(&self.name), reason.to_owned());
            self.hub.share(Event::Checked { upstream, server, is_up, weight, reason });
        }
    }

    /// Begins a start or a stop if it is time. Returns it, and when to look again.
    fn next_event(self: &Arc<Self>, now: Instant) -> (Option<Event>, Option<Instant>) {
        let upstream = || Arc::clone(&self.name);
        self.change(|inner, _| {
            let open = inner.state.open();
            let can_start = inner.state.options.can_start;
            let idle_at = inner.state.idle_at();
            let demand = &mut inner.state.demand;
            if can_start && demand.begin_start(now) {
                return (Some(Event::Start { upstream: upstream() }), None);
            }
            if idle_at.is_some_and(|at| at <= now) && demand.begin_stop(open) {
                return (Some(Event::Stop { upstream: upstream() }), None);
            }
            let next_start = if can_start { demand.next_start() } else { None };
            (None, idle_at.into_iter().chain(next_start).min())
        })
    }

    fn status(&self) -> UpstreamStatus {
        let inner = self.lock();
        let demand = &inner.state.demand;
        UpstreamStatus {
            name: self.name.to_string(),
            queue: inner.state.queue.len(),
            held: demand.held(),
            connections: inner.state.open(),
            idle: (inner.state.open() == 0 && demand.held() == 0).then(|| demand.last_used().elapsed()),
            was_reached: demand.was_reached(),
            phase: match demand.phase {
                Phase::Running | Phase::Started(_) => "running",
                Phase::Starting { .. } => "starting",
                Phase::Stopping => "stopping",
                Phase::Stopped => "stopped",
            },
            servers: inner.state.status(),
        }
    }
}

impl std::fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.by_name().keys()).finish()
    }
}
