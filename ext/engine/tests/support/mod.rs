//! Support for tests with real sockets: a proxy whose events are recorded, backends and
//! clients that misbehave, and a guard that turns a hang into a failure.

mod peers;
mod recorder;

use std::future::{Future, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proxymachine_engine::DrainOutcome;
use proxymachine_engine::{
    Client, Config, Engine, Failure, Limits, Listener, Remote, Route, Router, Shutdown, Stats, TimedVerdict,
    Verdict,
};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

pub use peers::{
    Backend, PERIOD, answer, collect, is_over, is_reset, pattern, read, read_to_end, read_to_reset, reset,
    send_pattern, write,
};
pub use recorder::{Event, Recorder};

/// Limit of a wait in a test. Only a defect takes that long. SPEC_DEADLINE sets more seconds for emulated processors.
fn guard() -> Duration {
    let seconds = std::env::var("SPEC_DEADLINE").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(20))
}

/// A duration longer than any test.
pub const NEVER: Duration = Duration::from_secs(3600);

/// Fails the test if `future` hangs.
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(guard(), future).await {
        Ok(output) => output,
        Err(_) => panic!("timed out waiting for {what}"),
    }
}

/// Returns the default limits with few and quick retries.
pub fn config() -> Config {
    Config { threads: 1, connect_retries: 2, retry_delay: Duration::from_millis(5), ..Config::default() }
}

type Reload = dyn Fn(&[String], Config) + Send + Sync;

/// An engine under test.
pub struct Proxy {
    pub addresses: Vec<SocketAddr>,
    pub events: Recorder,
    pub shutdown: Arc<Shutdown>,
    pub stats: Arc<Stats>,
    pub limits: Arc<Limits>,
    reload: Box<Reload>,
    join: Option<Box<dyn FnOnce() -> DrainOutcome + Send>>,
    threads: usize,
}

impl Proxy {
    pub fn start(router: impl Router) -> Self {
        Self::with(config(), router)
    }

    pub fn with(config: Config, router: impl Router) -> Self {
        Self::on(1, config, router, Recorder::default(), Arc::default())
    }

    pub fn on(
        listeners: usize,
        config: Config,
        router: impl Router,
        events: Recorder,
        shutdown: Arc<Shutdown>,
    ) -> Self {
        let listeners = (0..listeners)
            .flat_map(|_| Listener::bind("127.0.0.1:0", &Default::default()).unwrap())
            .collect();
        Self::listening(listeners, config, router, events, shutdown)
    }

    /// Starts a proxy on given listeners; those of Unix sockets have no address.
    pub fn listening(
        listeners: Vec<Listener>,
        config: Config,
        router: impl Router,
        events: Recorder,
        shutdown: Arc<Shutdown>,
    ) -> Self {
        let addresses = listeners.iter().filter_map(Listener::local_addr).collect();
        let threads = config.threads;
        let engine = Engine::start(listeners, config, router, events.clone(), Arc::clone(&shutdown)).unwrap();
        let stats = engine.stats();
        let limits = engine.limits();
        let control = engine.control().clone();
        let reload = Box::new(move |addresses: &[String], config| {
            let mut open = control.listeners().unwrap();
            let open_one =
                |address: &String| Listener::open(address, &Default::default(), &mut open).unwrap();
            control.reload(addresses.iter().flat_map(open_one).collect(), config);
        });
        Self {
            addresses,
            events,
            shutdown,
            stats,
            limits,
            reload,
            join: Some(Box::new(|| engine.join())),
            threads,
        }
    }

    /// Reloads the engine with other addresses and another configuration.
    pub fn reload(&self, addresses: &[String], config: Config) {
        (self.reload)(addresses, config);
    }

    pub async fn client(&self) -> TcpStream {
        self.client_of(0).await
    }

    pub async fn client_of(&self, listener: usize) -> TcpStream {
        within("a connection", TcpStream::connect(self.addresses[listener])).await.unwrap()
    }

    /// Returns a client that has sent its first bytes.
    pub async fn client_with(&self, bytes: impl AsRef<[u8]>) -> TcpStream {
        let mut client = self.client().await;
        write(&mut client, bytes).await;
        client
    }

    /// Waits for the end of the engine after a drain has begun.
    pub async fn join(&mut self) -> DrainOutcome {
        let join = self.join.take().expect("join is called once");
        within("the engine's end", tokio::task::spawn_blocking(join)).await.unwrap()
    }

    /// Drains the engine and checks the events: each
    /// accepted client has ended once, for one reason, and none is left.
    pub async fn finish(mut self) {
        self.shutdown.drain(None);
        assert_eq!(self.join().await, DrainOutcome::Drained);
        self.check_records();
    }

    pub fn check_records(&self) {
        let events = self.events.all();
        let mut accepted: Vec<_> = events.iter().filter_map(Event::accepted).collect();
        let mut ended: Vec<_> = events.iter().filter_map(Event::ended).map(|(c, _)| c).collect();
        let cut_off: Vec<_> = events.iter().filter_map(Event::cut_off).collect();
        let by_itself = ended.len();
        ended.extend(cut_off);
        accepted.sort();
        ended.sort();
        assert_eq!(accepted, ended, "each accepted client ends once");
        for event in &events {
            if let Event::AcceptFailed(error) = event {
                panic!("a connection could not be accepted: {error}");
            }
        }
        let closed = events.iter().filter(|event| matches!(event, Event::Closed(_))).count();
        assert_eq!(closed, by_itself, "each client that was not cut off is closed once");
        assert_eq!(self.stats.current(), 0, "the counter returns to zero");
        assert_eq!(self.stats.total(), accepted.len() as u64, "all are counted");
        let finished = events.iter().filter(|event| matches!(event, Event::ThreadFinished)).count();
        assert_eq!(finished, self.threads, "each thread says that it is done");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shutdown.abort();
    }
}

/// Returns a router that decides at once, by the bytes alone.
pub fn deciding(decide: impl Fn(&[u8]) -> Verdict + Send + Sync + 'static) -> impl Router {
    move |_: &Client, data: Bytes| ready(decide(&data))
}

/// Returns a router that sends every connection to `remote`.
pub fn always(remote: &Remote) -> impl Router {
    let remote = remote.clone();
    deciding(move |_| Verdict::connect(remote.clone()))
}

/// Returns a verdict to connect to `remote` by a changed route.
pub fn route(remote: &Remote, change: impl FnOnce(&mut Route)) -> Verdict {
    let mut route = Route::new(remote.clone());
    change(&mut route);
    Verdict::Connect(Box::new(route))
}

/// The kind of a question to the router of [`asking`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Accepted,
    Data,
    TimedOut,
    Failed(Failure, String),
}

/// A question to the router of [`asking`].
pub struct Question {
    pub kind: Kind,
    pub client: String,
    pub data: Bytes,
    answer: oneshot::Sender<Verdict>,
}

impl Question {
    pub fn answer(self, verdict: Verdict) {
        assert!(self.answer.send(verdict).is_ok(), "the engine has abandoned the question");
    }

    /// Waits until the engine abandons the question.
    pub async fn abandoned(mut self) {
        within("the question to be abandoned", self.answer.closed()).await;
    }
}

/// The questions to a router whose answers the test gives.
pub struct Questions(mpsc::UnboundedReceiver<Question>);

impl Questions {
    pub async fn next(&mut self) -> Question {
        within("a question to the router", self.0.recv()).await.expect("a router that lives")
    }

    /// Checks that no question is pending.
    pub fn assert_none(&mut self) {
        assert!(self.0.try_recv().is_err(), "the router was asked again");
    }
}

/// A router whose answers the test gives.
pub struct Asking {
    ask: mpsc::UnboundedSender<Question>,
    is_asked_early: bool,
    is_asked_late: bool,
}

impl Asking {
    fn ask(&self, kind: Kind, client: &Client, data: Bytes) -> impl Future<Output = Verdict> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        let _ = self.ask.send(Question { kind, client: client.to_string(), data, answer });
        async move {
            match answered.await {
                Ok(verdict) => verdict,
                Err(_) => std::future::pending().await,
            }
        }
    }
}

impl Router for Asking {
    fn route(&self, client: &Client, data: Bytes) -> impl Future<Output = TimedVerdict> + Send {
        let asked = self.ask(Kind::Data, client, data);
        async { asked.await.into() }
    }

    fn accepted(&self, client: &Client) -> Option<impl Future<Output = TimedVerdict> + Send> {
        self.is_asked_early.then(|| {
            let asked = self.ask(Kind::Accepted, client, Bytes::new());
            async { asked.await.into() }
        })
    }

    fn timed_out(&self, client: &Client, data: Bytes) -> Option<impl Future<Output = TimedVerdict> + Send> {
        self.is_asked_late.then(|| {
            let asked = self.ask(Kind::TimedOut, client, data);
            async { asked.await.into() }
        })
    }

    fn failed(
        &self,
        client: &Client,
        failure: Failure,
        remote: String,
    ) -> Option<impl Future<Output = Option<Verdict>> + Send> {
        let asked = self.ask(Kind::Failed(failure, remote), client, Bytes::new());
        Some(async move { Some(asked.await) })
    }
}

/// Returns a router that is asked about data and failures.
pub fn asking() -> (Asking, Questions) {
    let (ask, questions) = mpsc::unbounded_channel();
    (Asking { ask, is_asked_early: false, is_asked_late: false }, Questions(questions))
}

/// Returns a router that is also asked on accept.
pub fn asked_early() -> (Asking, Questions) {
    let (router, questions) = asking();
    (Asking { is_asked_early: true, ..router }, questions)
}

/// Returns a router that is also asked on accept and on a decision timeout.
pub fn asked_early_and_late() -> (Asking, Questions) {
    let (router, questions) = asked_early();
    (Asking { is_asked_late: true, ..router }, questions)
}

/// Returns a router that is also asked on a decision timeout.
pub fn asked_late() -> (Asking, Questions) {
    let (router, questions) = asking();
    (Asking { is_asked_late: true, ..router }, questions)
}
