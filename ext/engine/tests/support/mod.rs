//! What the tests with real sockets share: a proxy whose every event is recorded, backends and
//! clients that can misbehave, and guards that turn a hang into a failure.

mod peers;
mod recorder;

use std::future::{Future, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proxymachine_engine::Outcome;
use proxymachine_engine::{
    Answer, Client, Config, Failure, Listener, Remote, Route, Router, Shutdown, Stats, Verdict, server,
};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

pub use peers::{
    Backend, PERIOD, answer, collect, is_over, pattern, read, read_to_end, reset, send_pattern, write,
};
pub use recorder::{Event, Recorder};

/// No wait in a test is longer; only a defect makes one that long.
const GUARD: Duration = Duration::from_secs(20);

/// Longer than any test lasts.
pub const NEVER: Duration = Duration::from_secs(3600);

/// Fails the test if `future` hangs.
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(GUARD, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// The default limits, but quick to give up dialing.
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
    reload: Box<Reload>,
    join: Option<Box<dyn FnOnce() -> Outcome + Send>>,
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

    /// On listeners of the test's own; those of Unix sockets have no address.
    pub fn listening(
        listeners: Vec<Listener>,
        config: Config,
        router: impl Router,
        events: Recorder,
        shutdown: Arc<Shutdown>,
    ) -> Self {
        let addresses = listeners.iter().filter_map(Listener::local_addr).collect();
        let threads = config.threads;
        let engine = server::start(listeners, config, router, events.clone(), Arc::clone(&shutdown)).unwrap();
        let stats = engine.stats();
        let control = engine.control().clone();
        let reload = Box::new(move |addresses: &[String], config| {
            let mut open = control.listeners().unwrap();
            let open_one =
                |address: &String| Listener::open(address, &Default::default(), &mut open).unwrap();
            control.reload(addresses.iter().flat_map(open_one).collect(), config);
        });
        Self { addresses, events, shutdown, stats, reload, join: Some(Box::new(|| engine.join())), threads }
    }

    /// From now on it listens there, by another configuration.
    pub fn reload(&self, addresses: &[String], config: Config) {
        (self.reload)(addresses, config);
    }

    pub async fn client(&self) -> TcpStream {
        self.client_of(0).await
    }

    pub async fn client_of(&self, listener: usize) -> TcpStream {
        within("a connection", TcpStream::connect(self.addresses[listener])).await.unwrap()
    }

    /// A client that has sent its first bytes.
    pub async fn client_with(&self, bytes: impl AsRef<[u8]>) -> TcpStream {
        let mut client = self.client().await;
        write(&mut client, bytes).await;
        client
    }

    /// Waits for the end of the engine, which a drain must have begun.
    pub async fn join(&mut self) -> Outcome {
        let join = self.join.take().expect("to be joined once");
        within("the engine's end", tokio::task::spawn_blocking(join)).await.unwrap()
    }

    /// Ends the engine, whose connections have nothing more to do, and does the accounts: each
    /// client that was accepted has ended once, for one reason, and none is left.
    pub async fn finish(mut self) {
        self.shutdown.drain(None);
        assert_eq!(self.join().await, Outcome::Drained);
        self.check_accounts();
    }

    pub fn check_accounts(&self) {
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

/// A router that decides at once, by the bytes alone.
pub fn deciding(decide: impl Fn(&[u8]) -> Verdict + Send + Sync + 'static) -> impl Router {
    move |_: &Client, data: Bytes| ready(decide(&data))
}

/// A router that sends every connection to `remote`.
pub fn always(remote: &Remote) -> impl Router {
    let remote = remote.clone();
    deciding(move |_| Verdict::connect(remote.clone()))
}

/// A verdict to connect to `remote`, with something special about it.
pub fn route(remote: &Remote, change: impl FnOnce(&mut Route)) -> Verdict {
    let mut route = Route::new(remote.clone());
    change(&mut route);
    Verdict::Connect(Box::new(route))
}

/// What a router of [`asking`] was asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Accepted,
    Data,
    TimedOut,
    Failed(Failure, String),
}

/// What a router of [`asking`] was asked.
pub struct Question {
    pub kind: Kind,
    pub client: String,
    pub data: Bytes,
    answer: oneshot::Sender<Verdict>,
}

impl Question {
    pub fn answer(self, verdict: Verdict) {
        assert!(self.answer.send(verdict).is_ok(), "nobody waits for the answer");
    }

    /// Waits until nobody waits for the answer any more.
    pub async fn abandoned(mut self) {
        within("the question to be abandoned", self.answer.closed()).await;
    }
}

/// The questions to a router that thinks for as long as the test wants.
pub struct Questions(mpsc::UnboundedReceiver<Question>);

impl Questions {
    pub async fn next(&mut self) -> Question {
        within("a question to the router", self.0.recv()).await.expect("a router that lives")
    }

    /// There is none now.
    pub fn assert_none(&mut self) {
        assert!(self.0.try_recv().is_err(), "the router was asked again");
    }
}

/// A router that the test itself answers for.
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
    fn route(&self, client: &Client, data: Bytes) -> impl Future<Output = Answer> + Send {
        let asked = self.ask(Kind::Data, client, data);
        async { asked.await.into() }
    }

    fn accepted(&self, client: &Client) -> Option<impl Future<Output = Answer> + Send> {
        self.is_asked_early.then(|| {
            let asked = self.ask(Kind::Accepted, client, Bytes::new());
            async { asked.await.into() }
        })
    }

    fn timed_out(&self, client: &Client, data: Bytes) -> Option<impl Future<Output = Answer> + Send> {
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

/// A router that is asked about data and failures.
pub fn asking() -> (Asking, Questions) {
    let (ask, questions) = mpsc::unbounded_channel();
    (Asking { ask, is_asked_early: false, is_asked_late: false }, Questions(questions))
}

/// One that is also asked before a client has sent anything.
pub fn asked_early() -> (Asking, Questions) {
    let (router, questions) = asking();
    (Asking { is_asked_early: true, ..router }, questions)
}

/// One that is also asked when the time to decide is over.
pub fn asked_late() -> (Asking, Questions) {
    let (router, questions) = asking();
    (Asking { is_asked_late: true, ..router }, questions)
}
