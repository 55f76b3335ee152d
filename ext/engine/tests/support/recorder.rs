//! An observer that remembers everything, in order.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use proxymachine_engine::{End, Observer, Remote};
use tokio::sync::{Semaphore, watch};

use super::within;

/// What an [`Observer`] was told.
#[derive(Debug, Clone)]
pub enum Event {
    Accepted(SocketAddr),
    Dialing(String),
    Retrying(String, u32),
    Connected(String),
    Ended(SocketAddr, Arc<End>),
    Closed(u64),
    CutOff(SocketAddr),
    AcceptFailed(String),
    ThreadFinished,
}

impl Event {
    pub fn accepted(&self) -> Option<SocketAddr> {
        match self {
            Self::Accepted(client) => Some(*client),
            _ => None,
        }
    }

    pub fn cut_off(&self) -> Option<SocketAddr> {
        match self {
            Self::CutOff(client) => Some(*client),
            _ => None,
        }
    }

    pub fn ended(&self) -> Option<(SocketAddr, Arc<End>)> {
        match self {
            Self::Ended(client, end) => Some((*client, Arc::clone(end))),
            _ => None,
        }
    }
}

/// Records what it is told. Clones share the record.
#[derive(Clone)]
pub struct Recorder {
    events: Arc<Mutex<Vec<Event>>>,
    changed: watch::Sender<()>,
    /// Lets the ends through: closed gates keep them waiting.
    gate: Arc<Semaphore>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { events: Arc::default(), changed: watch::Sender::new(()), gate: Arc::new(Semaphore::new(1)) }
    }
}

impl Recorder {
    /// One whose `ended` takes until [`Recorder::open_gate`].
    pub fn gated() -> Self {
        Self { gate: Arc::new(Semaphore::new(0)), ..Self::default() }
    }

    pub fn open_gate(&self) {
        self.gate.add_permits(1);
    }

    fn record(&self, event: Event) {
        self.events.lock().unwrap().push(event);
        self.changed.send_replace(());
    }

    pub fn all(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    /// Waits until `find` finds something among all events so far.
    pub async fn wait_for<T>(&self, what: &str, find: impl Fn(&[Event]) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        let found = async {
            loop {
                changed.mark_unchanged();
                if let Some(found) = find(&self.events.lock().unwrap()) {
                    return found;
                }
                changed.changed().await.expect("the sender lives");
            }
        };
        within(what, found).await
    }

    /// Waits until `count` events are as `is_wanted` says.
    pub async fn count(&self, count: usize, what: &str, is_wanted: impl Fn(&Event) -> bool) {
        self.wait_for(what, |events| (events.iter().filter(|e| is_wanted(e)).count() >= count).then_some(()))
            .await;
    }

    pub async fn accepted(&self, count: usize) {
        self.count(count, "an accept", |event| matches!(event, Event::Accepted(_))).await;
    }

    pub async fn retrying(&self, retry: u32) {
        self.count(1, "a retry", |event| matches!(event, Event::Retrying(_, n) if *n == retry)).await;
    }

    pub async fn dialing(&self) {
        self.count(1, "a connect attempt", |event| matches!(event, Event::Dialing(_))).await;
    }

    pub async fn closed(&self, count: usize) {
        self.count(count, "a close", |event| matches!(event, Event::Closed(_))).await;
    }

    /// Why the only connection ended.
    pub async fn end(&self) -> Arc<End> {
        self.wait_for("an End of the connection", |events| events.iter().find_map(Event::ended)).await.1
    }

    /// The only connection ended as `expected`, as its Debug form begins.
    #[track_caller]
    pub fn ended_as(&self, expected: &str) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            let end = format!("{:?}", self.end().await);
            assert!(end.starts_with(expected), "ended as {end}, not {expected} ({place})");
        }
    }
}

impl Observer for Recorder {
    fn accepted(&self, client: &SocketAddr) {
        self.record(Event::Accepted(*client));
    }

    fn dialing(&self, remote: &Remote) {
        self.record(Event::Dialing(remote.to_string()));
    }

    fn retrying(&self, remote: &Remote, retry: u32) {
        self.record(Event::Retrying(remote.to_string(), retry));
    }

    fn connected(&self, remote: &Remote) {
        self.record(Event::Connected(remote.to_string()));
    }

    async fn ended(&self, client: &SocketAddr, end: End) {
        self.record(Event::Ended(*client, Arc::new(end)));
        let _ = self.gate.acquire().await;
    }

    fn closed(&self, left: u64) {
        self.record(Event::Closed(left));
    }

    fn cut_off(&self, client: &SocketAddr) {
        self.record(Event::CutOff(*client));
    }

    fn accept_failed(&self, error: &io::Error) {
        self.record(Event::AcceptFailed(error.to_string()));
    }

    fn thread_finished(&self) {
        self.record(Event::ThreadFinished);
    }
}
