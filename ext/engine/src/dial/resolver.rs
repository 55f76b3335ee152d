//! The resolver: a bounded number of threads that call getaddrinfo(3), shared by all engine threads.
//!
//! getaddrinfo(3) cannot be cancelled: a lookup whose name server is silent holds its thread for ten seconds and more.
//! Each lookup therefore belongs to a [`Lane`] with a limit of its own, and becomes one of [`Lane::Silent`] while it
//! runs if its answer is overdue, so that silent names leave threads to others. A name is looked up once at a time for
//! all connections that wait for it; the result is not cached. A lookup that no connection waits for any more is
//! dropped before it starts.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use dns_lookup::{AddrInfoHints, getaddrinfo};
use tokio::sync::watch;

use self::history::History;
use self::hosts::Hosts;

mod history;
mod hosts;

/// Largest number of threads.
const MAX_THREADS: usize = 128;

/// Time after which an idle thread ends.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// A lookup that takes longer met a silent name server.
const SILENT_AFTER: Duration = Duration::from_secs(1);

/// How often overdue lookups are searched for while others are queued.
const OVERDUE_INTERVAL: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Family {
    Both,
    V4,
    V6,
}

/// The kind of a lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    /// A name of /etc/hosts, which needs no name server.
    Local,
    /// A name that was resolved quickly the last time.
    Known,
    /// A name without a history.
    New,
    /// A single family of a name whose lookup of both families is late.
    ByFamily,
    /// A name whose name server did not answer in time, the last time or now.
    Silent,
}

impl Lane {
    const ALL: [Self; 5] = [Self::Local, Self::Known, Self::New, Self::ByFamily, Self::Silent];

    /// Returns how many lookups of the lane may run at once.
    const fn limit(self) -> usize {
        match self {
            Self::Local => 4,
            Self::Known => 24,
            Self::New => 64,
            Self::ByFamily => 16,
            Self::Silent => 16,
        }
    }

    /// Returns how many threads the lane leaves to other lanes.
    const fn reserved(self) -> usize {
        match self {
            Self::Local => 0,
            Self::Known => Self::Local.limit(),
            Self::New | Self::ByFamily | Self::Silent => Self::Local.limit() + Self::Known.limit(),
        }
    }
}

/// A name and the families that are looked up.
type Key = (Arc<str>, Family);

/// The result of one lookup, the best address first. The ports are 0.
type Found = Result<Arc<[SocketAddr]>, Arc<io::Error>>;

/// A lookup that is queued or runs.
struct Lookup {
    lane: Lane,
    progress: Progress,
    /// Its receivers are the connections that wait.
    result: watch::Sender<Option<Found>>,
}

enum Progress {
    /// The place in the lane's queue.
    Queued(u64),
    RunningSince(Instant),
}

#[derive(Default)]
struct State {
    lookups: HashMap<Key, Lookup>,
    /// Per lane, in the order of arrival.
    queues: [BTreeMap<u64, Key>; Lane::ALL.len()],
    running: [usize; Lane::ALL.len()],
    next_place: u64,
    threads: usize,
    idle: usize,
    is_stopped: bool,
    history: History,
    hosts: Hosts,
}

/// The resolver of one engine.
#[derive(Default)]
pub(crate) struct Resolver {
    state: Mutex<State>,
    /// Notified when a lookup may start, or the resolver stops.
    work: Condvar,
    /// Notified when a thread ends.
    thread_ended: Condvar,
}

impl Resolver {
    /// Looks up the addresses of a name. `is_extra` is set if a lookup of both families runs beside.
    pub(crate) async fn look_up(
        self: &Arc<Self>,
        host: &Arc<str>,
        port: u16,
        family: Family,
        is_extra: bool,
    ) -> io::Result<Vec<SocketAddr>> {
        let mut waiting = self.enqueue((Arc::clone(host), family), is_extra)?;
        let result = waiting.receiver.as_mut().expect("is only taken by drop()");
        let found = match result.wait_for(Option::is_some).await {
            Ok(found) => found.clone().expect("wait_for() has checked"),
            Err(_) => return Err(io::Error::other("the resolver has stopped")),
        };
        let with_port = |mut address: SocketAddr| {
            address.set_port(port);
            address
        };
        match found {
            Ok(addresses) => Ok(addresses.iter().copied().map(with_port).collect()),
            Err(error) => Err(copy(&error)),
        }
    }

    /// Stops the threads, and waits for those that run a lookup at most this long.
    pub(crate) fn stop(&self, limit: Duration) {
        let mut state = self.lock();
        state.is_stopped = true;
        self.work.notify_all();
        let has_threads = |state: &mut State| state.threads > 0;
        drop(self.thread_ended.wait_timeout_while(state, limit, has_threads));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the lookup that is queued or runs, or queues one.
    fn enqueue(self: &Arc<Self>, key: Key, is_extra: bool) -> io::Result<Waiting> {
        let mut state = self.lock();
        let receiver = match state.lookups.get(&key) {
            Some(lookup) => lookup.result.subscribe(),
            None => {
                let lane = state.lane(&key, is_extra);
                let receiver = state.queue(key.clone(), lane);
                // If the lane is full, an idle thread watches for overdue lookups.
                if state.idle >= state.startable().max(1) {
                    self.work.notify_one();
                } else if let Err(error) = self.start_thread(&mut state) {
                    state.remove_queued(&key);
                    return Err(error);
                }
                receiver
            }
        };
        Ok(Waiting { resolver: Arc::clone(self), key, receiver: Some(receiver) })
    }

    /// Starts a thread, which inherits the signal mask of the engine thread. If the system gives no thread, the running
    /// ones do the work.
    fn start_thread(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        if state.threads > MAX_THREADS {
            return Ok(());
        }
        let resolver = Arc::clone(self);
        match thread::Builder::new().name("resolver".into()).spawn(move || resolver.work()) {
            Ok(_) => state.threads += 1,
            Err(error) if state.threads == 0 => return Err(error),
            Err(_) => {}
        }
        Ok(())
    }

    /// Runs lookups until the resolver stops or has had no work for some time.
    fn work(self: &Arc<Self>) {
        let mut state = self.lock();
        while !state.is_stopped {
            if let Some(key) = state.start_next() {
                // Overdue lookups can free several places at once, and while lookups are queued a thread has to watch.
                if state.idle == 0 && state.has_queued() {
                    let _ = self.start_thread(&mut state);
                }
                drop(state);
                let found = call(&key);
                state = self.lock();
                state.finish(&key, found);
                continue;
            }
            let is_watching = state.has_queued();
            let limit = if is_watching { OVERDUE_INTERVAL } else { IDLE_TIMEOUT };
            state.idle += 1;
            let (locked, wait) = self.work.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner);
            state = locked;
            state.idle -= 1;
            if wait.timed_out() {
                if !is_watching && state.startable() == 0 {
                    break;
                }
                state.find_overdue();
            }
        }
        state.threads -= 1;
        drop(state);
        self.thread_ended.notify_all();
    }
}

impl State {
    fn lane(&mut self, key: &Key, is_extra: bool) -> Lane {
        if self.hosts.contains(&key.0) {
            return Lane::Local;
        }
        match self.history.was_quick(key) {
            Some(true) => Lane::Known,
            _ if is_extra => Lane::ByFamily,
            Some(false) => Lane::Silent,
            None => Lane::New,
        }
    }

    fn queue(&mut self, key: Key, lane: Lane) -> watch::Receiver<Option<Found>> {
        let (result, receiver) = watch::channel(None);
        let place = self.next_place;
        self.next_place += 1;
        self.queues[lane as usize].insert(place, key.clone());
        self.lookups.insert(key, Lookup { lane, progress: Progress::Queued(place), result });
        receiver
    }

    /// Returns how many queued lookups of a lane may start now.
    fn startable_in(&self, lane: Lane) -> usize {
        let all: usize = self.running.iter().sum();
        let free = MAX_THREADS.saturating_sub(lane.reserved() + all);
        let free_in_lane = lane.limit().saturating_sub(self.running[lane as usize]);
        self.queues[lane as usize].len().min(free_in_lane).min(free)
    }

    fn startable(&self) -> usize {
        Lane::ALL.iter().map(|lane| self.startable_in(*lane)).sum()
    }

    fn has_queued(&self) -> bool {
        self.queues.iter().any(|queue| !queue.is_empty())
    }

    /// Starts the lookup that has waited longest, among those that may start.
    fn start_next(&mut self) -> Option<Key> {
        let first = |lane: &Lane| Some((*self.queues[*lane as usize].first_key_value()?.0, *lane));
        let lanes = Lane::ALL.iter().filter(|lane| self.startable_in(**lane) > 0);
        let (place, lane) = lanes.filter_map(first).min_by_key(|(place, _)| *place)?;
        let key = self.queues[lane as usize].remove(&place)?;
        self.lookups.get_mut(&key)?.progress = Progress::RunningSince(Instant::now());
        self.running[lane as usize] += 1;
        Some(key)
    }

    /// Moves overdue lookups to [`Lane::Silent`], which may exceed its limit in this way. Those of [`Lane::ByFamily`] keep
    /// their places: with them a silent name would take three threads, and fewer of such names would delay new ones.
    fn find_overdue(&mut self) {
        for lookup in self.lookups.values_mut() {
            let Progress::RunningSince(since) = lookup.progress else { continue };
            if since.elapsed() > SILENT_AFTER && lookup.lane != Lane::ByFamily {
                self.running[lookup.lane as usize] -= 1;
                lookup.lane = Lane::Silent;
                self.running[Lane::Silent as usize] += 1;
            }
        }
    }

    fn finish(&mut self, key: &Key, found: Found) {
        let Some(lookup) = self.lookups.remove(key) else { return };
        self.running[lookup.lane as usize] -= 1;
        if let Progress::RunningSince(since) = lookup.progress {
            self.history.record(key, found.is_ok(), since.elapsed() > SILENT_AFTER);
        }
        // Fails if no connection waits any more.
        let _ = lookup.result.send(Some(found));
    }

    /// Removes a lookup that has not started.
    fn remove_queued(&mut self, key: &Key) {
        if let Some(Lookup { lane, progress: Progress::Queued(place), .. }) = self.lookups.get(key) {
            self.queues[*lane as usize].remove(place);
            self.lookups.remove(key);
        }
    }
}

/// A connection that waits for a lookup.
struct Waiting {
    resolver: Arc<Resolver>,
    key: Key,
    receiver: Option<watch::Receiver<Option<Found>>>,
}

/// Drops the lookup if it has not started and no other connection waits for it.
impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.resolver.lock();
        drop(self.receiver.take());
        if state.lookups.get(&self.key).is_some_and(|lookup| lookup.result.is_closed()) {
            state.remove_queued(&self.key);
        }
    }
}

/// Calls getaddrinfo(3).
fn call((host, family): &Key) -> Found {
    let address = match family {
        Family::Both => libc::AF_UNSPEC,
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    };
    let hints = AddrInfoHints { address, socktype: libc::SOCK_STREAM, ..AddrInfoHints::default() };
    let found = getaddrinfo(Some(host), None, Some(hints)).map_err(io::Error::from);
    let addresses = found.and_then(|found| found.map(|found| found.map(|found| found.sockaddr)).collect());
    addresses.map(Vec::into).map_err(Arc::new)
}

/// Copies an error for one more connection.
fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

#[cfg(test)]
mod tests;
