//! An observer that remembers everything, in order.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use proxymachine_engine::{Account, Client, End, Observer, Remote, Route};
use tokio::sync::watch;

use super::within;

/// A client's address; None for one of a Unix socket.
type Peer = Option<SocketAddr>;

fn peer(client: &Client) -> Peer {
    client.address()
}

/// What an [`Observer`] was told.
#[derive(Debug, Clone)]
pub enum Event {
    Accepted(Peer),
    Dialing(String),
    Retrying(String, u32),
    Connected(String),
    Ended(Peer, Arc<End>),
    /// Letters, and bytes to the server and to the client.
    Finished(&'static str, u64, u64),
    Closed(u64),
    CutOff(Peer),
    AcceptFailed(String),
    DialStarved(String, String),
    ConnectFailed(String, u32),
    RedirectedTooOften(u32),
    Full(usize),
    ThreadFinished,
}

impl Event {
    pub fn accepted(&self) -> Option<Peer> {
        match self {
            Self::Accepted(client) => Some(*client),
            _ => None,
        }
    }

    pub fn cut_off(&self) -> Option<Peer> {
        match self {
            Self::CutOff(client) => Some(*client),
            _ => None,
        }
    }

    pub fn ended(&self) -> Option<(Peer, Arc<End>)> {
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
}

impl Default for Recorder {
    fn default() -> Self {
        Self { events: Arc::default(), changed: watch::Sender::new(()) }
    }
}

impl Recorder {
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

    /// The account of the only connection: letters, and bytes to the server and to the client.
    pub async fn account(&self) -> (&'static str, u64, u64) {
        let account = |event: &Event| match event {
            Event::Finished(code, up, down) => Some((*code, *up, *down)),
            _ => None,
        };
        self.wait_for("an account of the connection", |events| events.iter().find_map(account)).await
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
    fn accepted(&self, client: &Client) {
        self.record(Event::Accepted(peer(client)));
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

    fn connect_failed(&self, _client: &Client, route: &Route, rounds: u32) {
        self.record(Event::ConnectFailed(route.to_string(), rounds));
    }

    fn redirected_too_often(&self, _client: &Client, limit: u32) {
        self.record(Event::RedirectedTooOften(limit));
    }

    fn ended(&self, client: &Client, end: &End) {
        self.record(Event::Ended(peer(client), Arc::new(end.clone())));
    }

    fn finished(&self, _client: &Client, account: &Account) {
        let code = account.code().letters();
        self.record(Event::Finished(code, account.to_server(), account.to_client()));
    }

    fn closed(&self, left: u64) {
        self.record(Event::Closed(left));
    }

    fn cut_off(&self, client: &Client) {
        self.record(Event::CutOff(peer(client)));
    }

    fn accept_failed(&self, error: &io::Error) {
        self.record(Event::AcceptFailed(error.to_string()));
    }

    fn dial_starved(&self, remote: &Remote, error: &io::Error) {
        self.record(Event::DialStarved(remote.to_string(), error.to_string()));
    }

    fn full(&self, limit: usize) {
        self.record(Event::Full(limit));
    }

    fn thread_finished(&self) {
        self.record(Event::ThreadFinished);
    }
}
