//! An observer that records all events in order.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use proxymachine_engine::limits::WorstSource;
use proxymachine_engine::upstream::Change;
use proxymachine_engine::{Client, ConnectionRecord, End, Observer, Reason, Remote, Route, Target};
use tokio::sync::watch;

use super::within;

/// A client's address; `None` for a client of a Unix socket.
type Peer = Option<SocketAddr>;

fn peer(client: &Client) -> Peer {
    client.address()
}

/// An event of an [`Observer`].
#[derive(Debug, Clone)]
pub enum Event {
    Accepted(Peer),
    Dialing(String),
    Retrying(String, u32),
    Connected(String),
    Ended(Peer, Arc<End>),
    /// Letters, bytes to the backend and bytes to the client.
    Recorded(&'static str, u64, u64),
    Closed(u64),
    CutOff(Peer),
    AcceptFailed(String),
    DialStarved(String, String),
    ConnectFailed(String, u32),
    RedirectedTooOften(u32),
    LimitReached(usize),
    SourceOverLimit(WorstSource),
    /// Why a client got no backend, and what it had sent; only with `Recorder::keeping_first_bytes`.
    NotServed(String, Vec<u8>),
    UpstreamChanged(String),
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

/// Records events. Clones share the events.
#[derive(Clone)]
pub struct Recorder {
    events: Arc<Mutex<Vec<Event>>>,
    changed: watch::Sender<()>,
    keeps_first_bytes: bool,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { events: Arc::default(), changed: watch::Sender::new(()), keeps_first_bytes: false }
    }
}

impl Recorder {
    /// Records what clients have sent that got no backend, too.
    pub fn keeping_first_bytes() -> Self {
        Self { keeps_first_bytes: true, ..Self::default() }
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

    /// Waits until `is_wanted` is true for `count` events.
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

    /// Returns the only connection's letters, bytes to the backend and bytes to the client.
    pub async fn connection_record(&self) -> (&'static str, u64, u64) {
        let summary = |event: &Event| match event {
            Event::Recorded(code, up, down) => Some((*code, *up, *down)),
            _ => None,
        };
        self.wait_for("a record of the connection", |events| events.iter().find_map(summary)).await
    }

    /// Returns the changes of upstreams.
    pub fn changes(&self) -> Vec<String> {
        let change = |event| match event {
            Event::UpstreamChanged(change) => Some(change),
            _ => None,
        };
        self.all().into_iter().filter_map(change).collect()
    }

    /// Returns why the only connection ended.
    pub async fn end(&self) -> Arc<End> {
        self.wait_for("an End of the connection", |events| events.iter().find_map(Event::ended)).await.1
    }

    /// Checks that the Debug form of the only connection's end begins with `expected`.
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
    fn wants_first_bytes(&self) -> bool {
        self.keeps_first_bytes
    }

    fn not_served(&self, _client: &Client, _record: &ConnectionRecord, end: &End, received: &[u8]) {
        self.record(Event::NotServed(format!("{end:?}"), received.to_vec()));
    }

    fn accepted(&self, client: &Client) {
        self.record(Event::Accepted(peer(client)));
    }

    fn dialing(&self, _client: &Client, remote: &Remote) {
        self.record(Event::Dialing(remote.to_string()));
    }

    fn retrying(&self, _client: &Client, target: &Target, retry: u32, _reason: Reason) {
        self.record(Event::Retrying(target.to_string(), retry));
    }

    fn connected(&self, _client: &Client, remote: &Remote) {
        self.record(Event::Connected(remote.to_string()));
    }

    fn connect_failed(&self, _client: &Client, route: &Route, rounds: u32, _reason: Reason) {
        self.record(Event::ConnectFailed(route.to_string(), rounds));
    }

    fn redirected_too_often(&self, _client: &Client, limit: u32) {
        self.record(Event::RedirectedTooOften(limit));
    }

    fn connection_ended(&self, client: &Client, end: &End) {
        self.record(Event::Ended(peer(client), Arc::new(end.clone())));
    }

    fn connection_recorded(&self, _client: &Client, record: &ConnectionRecord) {
        let code = record.code().letters();
        self.record(Event::Recorded(code, record.to_backend(), record.to_client()));
    }

    fn connection_closed(&self, left: u64) {
        self.record(Event::Closed(left));
    }

    fn connection_cut_off(&self, client: &Client) {
        self.record(Event::CutOff(peer(client)));
    }

    fn accept_failed(&self, error: &io::Error) {
        self.record(Event::AcceptFailed(error.to_string()));
    }

    fn dial_starved(&self, _client: &Client, remote: &Remote, error: &io::Error) {
        self.record(Event::DialStarved(remote.to_string(), error.to_string()));
    }

    fn upstream_changed(&self, upstream: &str, change: &Change) {
        let change = match change {
            Change::Down { server, reason } => format!("{server} is down: {reason}"),
            Change::Up { server } => format!("{server} is up"),
            Change::NoneUp => "none is up".into(),
        };
        self.record(Event::UpstreamChanged(format!("{upstream}: {change}")));
    }

    fn connection_limit_reached(&self, limit: usize) {
        self.record(Event::LimitReached(limit));
    }

    fn source_over_limit(&self, worst: &WorstSource) {
        self.record(Event::SourceOverLimit(worst.clone()));
    }

    fn thread_finished(&self) {
        self.record(Event::ThreadFinished);
    }
}
