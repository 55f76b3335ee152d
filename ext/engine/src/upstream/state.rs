//! The state of one upstream: its servers, their connections and the clients that wait. Knows neither sockets nor tasks, and
//! is told the time.

use std::collections::HashMap;
use std::time::SystemTime;

use tokio::sync::watch;
use tokio::time::Instant;

use super::definition::Options;
use super::demand::Demand;
use super::health::Health;
use super::pool::Pool;
use super::queue::{Queue, Ticket, Waiter};
use super::rendezvous::Key;
use super::server::{Change, Server, ServerStatus};
use super::slot_set::SlotSet;
use crate::Remote;

/// The index of a server. It stays valid while the server is listed or has connections.
pub(crate) type Slot = u32;

/// A server for a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) slot: Slot,
    /// Whether the client is the one that tries a server that was out.
    pub(crate) is_trial: bool,
}

/// What an upstream has for a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    /// The server, whose connections count this one from now on.
    Server(Choice),
    /// The servers that the client has not tried have no room.
    Full,
    /// There is no server that the client has not tried.
    Exhausted,
}

/// The state of one upstream.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) options: Options,
    servers: Vec<Server>,
    /// The slots of listed servers, in the order of the list.
    listed: Vec<Slot>,
    /// The slots of servers that are listed or have connections, by their text.
    by_text: HashMap<Box<str>, Slot>,
    /// Slots without a server.
    vacant: Vec<Slot>,
    pool: Pool,
    pub(crate) queue: Queue,
    pub(crate) demand: Demand,
    /// Connections to all servers, also to those that are no longer listed.
    open: u64,
    /// When the next pause of a server ends.
    next_trial: Option<Instant>,
    /// Number of eligible servers that are up.
    up: usize,
    changes: Vec<Change>,
}

impl State {
    pub(crate) fn new(options: Options, now: Instant) -> Self {
        Self {
            options,
            servers: Vec::new(),
            listed: Vec::new(),
            by_text: HashMap::new(),
            vacant: Vec::new(),
            pool: Pool::default(),
            queue: Queue::default(),
            demand: Demand::new(now),
            open: 0,
            next_trial: None,
            up: 1, // So that an upstream without a server is reported.
            changes: Vec::new(),
        }
    }

    /// Tells whether there are changes to take.
    pub(crate) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Takes the changes since the last call.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Changes the options.
    pub(crate) fn set_options(&mut self, options: Options) {
        let is_checked = |options: &Options| options.check.is_some() || options.is_checked_outside;
        if is_checked(&self.options) && !is_checked(&options) {
            for slot in self.listed.clone() {
                self.update(slot, |server| {
                    server.health.forget_checks();
                    server.checked_weight = None;
                });
            }
        }
        self.options = options;
    }

    /// Replaces the list of servers: the address, the declared remote and the weight of each. A server that stays keeps its
    /// state and its connections; one that leaves keeps its connections.
    pub(crate) fn set_servers(&mut self, list: impl IntoIterator<Item = (Remote, Remote, u32)>) {
        for slot in std::mem::take(&mut self.listed) {
            self.servers[slot as usize].is_listed = false;
        }
        for (remote, declared, weight) in list {
            let weight = self.options.weights.get(remote.as_str()).copied().unwrap_or(weight);
            let slot = match self.by_text.get(remote.as_str()) {
                Some(slot) => *slot,
                None => self.add(remote, &declared),
            };
            let server = &mut self.servers[slot as usize];
            if std::mem::replace(&mut server.is_listed, true) {
                continue; // Listed twice.
            }
            (server.declared, server.weight) = (declared, weight);
            server.position = self.listed.len();
            server.end_sessions_when_down(self.options.closes_on_down);
            self.listed.push(slot);
        }
        let gone: Vec<Slot> = self.by_text.values().copied().filter(|slot| self.is_gone(*slot)).collect();
        gone.into_iter().for_each(|slot| self.remove(slot));
        self.rebuild();
    }

    fn add(&mut self, remote: Remote, declared: &Remote) -> Slot {
        let text: Box<str> = remote.as_str().into();
        let server = Server::new(remote, declared.clone());
        let slot = match self.vacant.pop() {
            Some(slot) => {
                self.servers[slot as usize] = server;
                slot
            }
            None => {
                self.servers.push(server);
                Slot::try_from(self.servers.len() - 1).expect("fewer servers than 2^32")
            }
        };
        self.by_text.insert(text, slot);
        slot
    }

    /// Tells whether a server is neither listed nor connected.
    fn is_gone(&self, slot: Slot) -> bool {
        let server = &self.servers[slot as usize];
        !server.is_listed && server.open == 0
    }

    fn remove(&mut self, slot: Slot) {
        let text = self.servers[slot as usize].remote.as_str();
        if self.by_text.remove(text).is_some() {
            self.vacant.push(slot);
        }
    }

    /// Finds out which servers take part in the choice: those that are up; all if none is up. As long as there are servers
    /// that a check has found up, those that were not checked yet take no part.
    fn rebuild(&mut self) {
        let servers = &self.servers;
        let of = |slot: &Slot| &servers[*slot as usize];
        let eligible = || self.listed.iter().copied().filter(|slot| of(slot).is_eligible());
        let mut up: Vec<Slot> = eligible().filter(|slot| of(slot).health.is_up()).collect();
        let was_up = std::mem::replace(&mut self.up, up.len());
        if up.is_empty() {
            up = eligible().collect();
        } else if up.iter().any(|slot| of(slot).health.checked() == Some(true)) {
            up.retain(|slot| of(slot).health.checked() == Some(true));
        }
        self.pool.set(up, servers, self.options.max_connections);
        self.find_next_trial();
        match (was_up, self.up) {
            (1.., 0) => self.changes.push(Change::NoneUp),
            (0, 1..) => self.demand.answered(),
            _ => {}
        }
    }

    fn find_next_trial(&mut self) {
        let servers = self.listed.iter().map(|slot| &self.servers[*slot as usize]);
        let trials = servers.filter(|server| server.is_eligible()).filter_map(|s| s.health.trial_at());
        self.next_trial = trials.min();
    }

    /// Returns when a server that is out may be tried.
    pub(crate) fn next_trial(&self) -> Option<Instant> {
        self.next_trial
    }

    /// Changes a server's health or weight, and reports whether it is up or down now.
    fn update(&mut self, slot: Slot, change: impl FnOnce(&mut Server)) {
        let server = &mut self.servers[slot as usize];
        let before = (server.health.is_up(), server.weight(), server.health.checked());
        change(server);
        let after = (server.health.is_up(), server.weight(), server.health.checked());
        if before.0 != after.0 {
            server.health.since = SystemTime::now();
            if after.0 {
                server.health.reason = None;
            }
            if server.is_listed {
                self.changes.push(server.change());
            }
        }
        if before != after {
            self.rebuild();
        } else if !after.0 {
            self.find_next_trial();
        }
    }

    /// Chooses a server that the client has not tried, and counts the connection.
    pub(crate) fn pick(&mut self, key: Option<Key>, tried: &SlotSet, now: Instant) -> Pick {
        let due = if self.next_trial.is_some_and(|at| at <= now) { self.due(now) } else { Vec::new() };
        let max = self.options.max_connections;
        let found = self.pool.choose(&self.servers, self.options.balance, key, tried, &due, max);
        match found {
            Some(slot) => Pick::Server(self.take(slot, now)),
            None if self.pool.has_untried(tried) => Pick::Full,
            None => Pick::Exhausted,
        }
    }

    /// Returns the servers whose pause is over and that are not in the pool, in the order of the list.
    fn due(&self, now: Instant) -> Vec<Slot> {
        let is_due = |slot: &&Slot| {
            let server = &self.servers[**slot as usize];
            server.is_eligible() && server.health.is_due(now)
        };
        self.listed.iter().filter(is_due).copied().collect()
    }

    fn take(&mut self, slot: Slot, now: Instant) -> Choice {
        let server = &mut self.servers[slot as usize];
        server.open += 1;
        self.open += 1;
        self.pool.opened(slot, server.open, self.options.max_connections);
        let is_trial = server.health.is_due(now);
        if is_trial {
            server.health.begin_trial();
            self.find_next_trial();
        }
        Choice { slot, is_trial }
    }

    /// Adds a client to the queue. Returns its ticket; `None` if no further client may wait.
    pub(crate) fn enqueue(&mut self, key: Option<Key>, tried: &SlotSet) -> Option<Ticket> {
        if self.options.queue_timeout.is_zero() || self.queue.len() >= self.options.max_queue {
            return None;
        }
        Some(self.queue.push(Waiter { key, tried: tried.clone() }))
    }

    /// Gives the servers with room to the clients in the queue, first come, first served.
    pub(crate) fn serve_queue(&mut self, now: Instant) -> Vec<(Ticket, Choice)> {
        let mut served = Vec::new();
        let mut next = self.queue.first();
        while let Some(ticket) = next {
            if !self.pool.has_room() && self.next_trial.is_none_or(|at| at > now) {
                break;
            }
            let Some(waiter) = self.queue.remove(ticket) else { break };
            match self.pick(waiter.key, &waiter.tried, now) {
                Pick::Server(choice) => served.push((ticket, choice)),
                // Only the servers that this client has tried have room.
                _ => self.queue.put_back(ticket, waiter),
            }
            next = self.queue.after(ticket);
        }
        served
    }

    /// Ends a connection.
    pub(crate) fn release(&mut self, slot: Slot, is_undecided_trial: bool, now: Instant) {
        let server = &mut self.servers[slot as usize];
        server.open -= 1;
        self.open -= 1;
        self.pool.closed(slot, server.open, self.options.max_connections);
        if is_undecided_trial {
            server.health.abandon_trial(now);
            self.find_next_trial();
        }
        if self.is_gone(slot) {
            self.remove(slot);
        }
        if self.open == 0 {
            self.demand.touch(now);
        }
    }

    /// Records that a client is connected. Returns whether it is the first one since the servers were stopped, unless they were
    /// started.
    pub(crate) fn connected(&mut self, slot: Slot, is_trial: bool, now: Instant) -> bool {
        if is_trial {
            self.servers[slot as usize].health.trial_connected(now);
            self.find_next_trial();
        }
        self.demand.reached()
    }

    /// Records that a connection failed.
    pub(crate) fn failed(&mut self, slot: Slot, is_trial: bool, reason: &str, now: Instant) {
        self.update(slot, |server| {
            server.failures += 1;
            let was_up = server.health.is_up();
            server.health.failed(is_trial, now);
            if was_up && !server.health.is_up() {
                server.health.reason = Some(reason.into());
            }
        });
    }

    /// Records that a server has sent a client its first byte.
    pub(crate) fn succeeded(&mut self, slot: Slot) {
        self.update(slot, |server| server.health.succeeded());
    }

    /// Tells whether a first byte changes anything.
    pub(crate) fn is_spotless(&self, slot: Slot) -> bool {
        self.servers[slot as usize].health.is_spotless()
    }

    /// Records a check: whether the server is up, and the weight that the check has set. Returns whether state or weight by the
    /// checks have changed.
    pub(crate) fn check(&mut self, slot: Slot, is_up: bool, weight: Option<u32>, reason: &str) -> bool {
        let (mut rise, fall) = (self.options.rise, self.options.fall);
        if self.demand.held() > 0 {
            rise = 1; // Clients wait for the first server that answers.
        }
        let has_changed =
            self.apply_check(slot, weight, reason, |health| health.record_check(is_up, rise, fall));
        if is_up && self.servers[slot as usize].health.is_up() {
            self.demand.answered();
        }
        has_changed
    }

    /// Sets a server's state by its checks, as another process has found it. That process has reported the change.
    pub(crate) fn set_checked(&mut self, slot: Slot, is_up: bool, weight: Option<u32>, reason: &str) -> bool {
        let reported = self.changes.len();
        let has_changed = self.apply_check(slot, weight, reason, |health| {
            health.last_check = Some(SystemTime::now());
            health.set_check(is_up);
        });
        // The other process does not know which servers have failed clients of this one.
        let is_unknown = |server: &Server| server.is_eligible() && server.health.checked() != Some(false);
        let knows_all = !self.listed().any(|(_, server)| is_unknown(server));
        let is_news = |change: &Change| *change == Change::NoneUp && !knows_all;
        let news: Vec<Change> = self.changes.drain(reported..).filter(is_news).collect();
        self.changes.extend(news);
        has_changed
    }

    fn apply_check(
        &mut self,
        slot: Slot,
        weight: Option<u32>,
        reason: &str,
        record: impl FnOnce(&mut Health),
    ) -> bool {
        let checked = |server: &Server| (server.health.checked(), server.checked_weight);
        let before = checked(&self.servers[slot as usize]);
        self.update(slot, |server| {
            let was_up = server.health.is_up();
            record(&mut server.health);
            if was_up && !server.health.is_up() {
                server.health.reason = Some(reason.into());
            }
            if weight.is_some() || server.health.checked() == Some(true) {
                server.checked_weight = weight;
            }
        });
        let server = &self.servers[slot as usize];
        let after = checked(server);
        if after.0 == Some(false) && before.0 != after.0 {
            if let Some(down) = &server.down {
                down.send_replace(());
            }
        }
        before != after
    }

    /// Records that a server accepts connections, while clients are held.
    pub(crate) fn answers(&mut self, slot: Slot) {
        self.update(slot, |server| server.health.answers());
        self.demand.answered();
    }

    /// Returns the slot of a listed server.
    pub(crate) fn find(&self, text: &str) -> Option<Slot> {
        let slot = *self.by_text.get(text)?;
        self.servers[slot as usize].is_listed.then_some(slot)
    }

    pub(crate) fn server(&self, slot: Slot) -> &Server {
        &self.servers[slot as usize]
    }

    /// Returns what wakes the sessions of a server when a check finds it down, if that ends them.
    pub(crate) fn down_signal(&self, slot: Slot) -> Option<watch::Receiver<()>> {
        self.servers[slot as usize].down.as_ref().map(watch::Sender::subscribe)
    }

    /// Lists the servers in their order.
    pub(crate) fn listed(&self) -> impl Iterator<Item = (Slot, &Server)> {
        self.listed.iter().map(|slot| (*slot, &self.servers[*slot as usize]))
    }

    /// Returns when the servers are to be stopped if no client comes.
    pub(crate) fn idle_at(&self) -> Option<Instant> {
        if self.options.can_stop { self.demand.idle_at(self.open, self.options.idle) } else { None }
    }

    /// Returns the number of connections to all servers.
    pub(crate) fn open(&self) -> u64 {
        self.open
    }

    /// Tells whether no server is up or may be tried, or the servers are stopped, or are being started or stopped.
    pub(crate) fn is_asleep(&self, now: Instant) -> bool {
        let is_trial_due = || self.next_trial.is_some_and(|at| at <= now);
        self.demand.holds_at_once() || self.up == 0 && !is_trial_due()
    }

    /// Returns the servers for the status page.
    pub(crate) fn status(&self) -> Vec<ServerStatus> {
        self.listed().map(|(_, server)| server.status()).collect()
    }
}
