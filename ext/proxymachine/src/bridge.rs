//! The engine's Router and Observer: both turn what they are told into events for the Ruby thread.

use std::collections::{HashSet, VecDeque};
use std::fmt::Display;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use proxymachine_admin::snapshot::Slow;
use proxymachine_engine::error::plain;
use proxymachine_engine::{Account, Answer, Client, End, Failure, Observer, Remote, Route, Router, Verdict};
use tokio::sync::oneshot;

use crate::access::AccessLog;
use crate::lock;
use crate::log::{Fields, Line, Severity};
use crate::queue::{Block, Call, Event, Question, Queue};
use crate::remotes::Remotes;

/// What the engine's threads and the Ruby thread both know.
pub struct Bridge {
    pub queue: Arc<Queue>,
    /// Whether the logger wants INFO lines; else they are not even composed.
    pub info: AtomicBool,
    /// Whether the process title tells old numbers.
    pub title_stale: AtomicBool,
    pub draining: AtomicBool,
    pub wanted: Wanted,
    /// Nanoseconds; a block that takes longer is named in the log.
    slow_block: AtomicU64,
    /// The last ones that did, the newest first.
    pub slow: Mutex<VecDeque<Slow>>,
    pub access: AccessLog,
    pub remotes: Remotes,
    /// Whether lines are for machines, so that they need fields.
    pub is_json: AtomicBool,
    warned: Warned,
    /// Keys of answers that mean nothing, as far as it was said.
    unknown_keys: Mutex<HashSet<String>>,
}

/// What the config has blocks for; what has none is not asked.
#[derive(Default)]
pub struct Wanted {
    /// `proxy_accept`
    pub accept: AtomicBool,
    /// `proxy_timeout`
    pub timeout: AtomicBool,
    /// Some block that takes the client as an argument.
    pub client: AtomicBool,
}

/// When was it last said that something is used up?
#[derive(Default)]
struct Warned {
    accept: Mutex<Option<Instant>>,
    dial: Mutex<Option<Instant>>,
    full: Mutex<Option<Instant>>,
}

/// How often it is said that something is used up, which may be for as long as it lasts.
const WARN_PERIOD: Duration = Duration::from_secs(60);

/// So many slow decisions are remembered.
const SLOW_KEPT: usize = 20;

/// So many keys that mean nothing are named; a config might make them up without end.
const UNKNOWN_KEYS_NAMED: usize = 50;

/// What a line is about.
type About<'a> = [(&'static str, &'a dyn Display)];

impl Bridge {
    pub fn new(threads: usize) -> Self {
        Self {
            queue: Arc::new(Queue::new(threads)),
            info: AtomicBool::new(true),
            title_stale: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            wanted: Wanted::default(),
            slow_block: AtomicU64::new(u64::MAX),
            slow: Mutex::default(),
            access: AccessLog::default(),
            remotes: Remotes::default(),
            is_json: AtomicBool::new(false),
            warned: Warned::default(),
            unknown_keys: Mutex::default(),
        }
    }

    /// Whether it was not said yet that this key of an answer means nothing.
    pub fn is_news(&self, key: &str) -> bool {
        let mut known = lock(&self.unknown_keys);
        known.len() < UNKNOWN_KEYS_NAMED && known.insert(key.chars().take(100).collect())
    }

    /// None: no block is slow.
    pub fn set_slow_block(&self, limit: Option<Duration>) {
        let nanos = limit.and_then(|limit| u64::try_from(limit.as_nanos()).ok()).unwrap_or(u64::MAX);
        self.slow_block.store(nanos, Relaxed);
    }

    /// Whether a block that took so long is to be named.
    pub fn is_slow(&self, taken: Duration) -> bool {
        taken.as_nanos() > u128::from(self.slow_block.load(Relaxed))
    }

    /// Of those blocks that took long.
    pub fn remember_slow(
        &self,
        client: &Client,
        block: &'static str,
        queue_wait: Duration,
        block_time: Duration,
        verdict: Option<&Verdict>,
    ) {
        let endpoint = client.endpoint();
        let slow = Slow {
            at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
            client: client.to_string(),
            listener: endpoint.name().unwrap_or_else(|| endpoint.address()).into(),
            block: block.into(),
            queue_wait: queue_wait.as_secs_f64(),
            block_time: block_time.as_secs_f64(),
            answer: match verdict {
                Some(Verdict::Connect(route)) => route.to_string(),
                Some(Verdict::Close(_)) => "close".into(),
                Some(Verdict::Wait(_)) => "wait".into(),
                None => "none".into(),
            },
        };
        let mut all = lock(&self.slow);
        all.truncate(SLOW_KEPT - 1);
        all.push_front(slow);
    }

    /// What a line is about, if somebody wants to know.
    pub fn fields(&self, fields: &[(&'static str, &dyn Display)]) -> Fields {
        let is_wanted = self.is_json.load(Relaxed);
        is_wanted.then(|| fields.iter().map(|(name, value)| (*name, value.to_string())).collect())
    }

    fn info(&self, about: &About<'_>, text: impl FnOnce() -> String) {
        if self.info.load(Relaxed) {
            self.line(Severity::Info, about, text());
        }
    }

    fn line(&self, severity: Severity, about: &About<'_>, text: String) {
        self.queue.post(Event::Line(Line::new(severity, text).with(self.fields(about))));
    }

    fn warn_rarely(&self, warned: &Mutex<Option<Instant>>, about: &About<'_>, text: impl FnOnce() -> String) {
        let mut warned = lock(warned);
        if warned.is_none_or(|then| then.elapsed() >= WARN_PERIOD) {
            *warned = Some(Instant::now());
            self.line(Severity::Warn, about, text());
        }
    }

    /// The Ruby thread renews the title, at most once a second.
    fn renew_title(&self) {
        if !self.title_stale.swap(true, Relaxed) {
            self.queue.signal.raise();
        }
    }
}

/// Asks the config's blocks.
pub struct BlockRouter(pub Arc<Bridge>);

impl BlockRouter {
    fn ask(&self, block: Block, client: &Client, data: Bytes) -> impl Future<Output = Answer> + Send + use<> {
        let (answer, verdict) = oneshot::channel();
        self.0.queue.post(Event::Call(Call::Block(Question {
            block,
            client: client.clone(),
            data,
            posted: Instant::now(),
            answer,
        })));
        // No answer: the Ruby thread is on its way out.
        async { verdict.await.unwrap_or_else(|_| Verdict::Close(None).into()) }
    }
}

impl Router for BlockRouter {
    fn route(&self, client: &Client, data: Bytes) -> impl Future<Output = Answer> + Send {
        self.ask(Block::Proxy, client, data)
    }

    fn wants_local(&self) -> bool {
        self.0.wanted.client.load(Relaxed)
    }

    fn accepted(&self, client: &Client) -> Option<impl Future<Output = Answer> + Send> {
        let is_wanted = self.0.wanted.accept.load(Relaxed);
        is_wanted.then(|| self.ask(Block::Accept, client, Bytes::new()))
    }

    fn timed_out(&self, client: &Client, data: Bytes) -> Option<impl Future<Output = Answer> + Send> {
        let is_wanted = self.0.wanted.timeout.load(Relaxed);
        is_wanted.then(|| self.ask(Block::Timeout, client, data))
    }

    fn failed(
        &self,
        client: &Client,
        failure: Failure,
        remote: String,
    ) -> Option<impl Future<Output = Option<Verdict>> + Send> {
        let (answer, verdict) = oneshot::channel();
        let client = client.clone();
        self.0.queue.post(Event::Call(Call::Callback { failure, client, remote, answer }));
        // No answer: the Ruby thread is on its way out.
        Some(async { verdict.await.ok().flatten() })
    }
}

/// Writes the log lines of the contract.
pub struct Reporter(pub Arc<Bridge>);

impl Observer for Reporter {
    fn accepted(&self, client: &Client) {
        self.0.renew_title();
        let endpoint = client.endpoint();
        let listener = endpoint.name().unwrap_or_else(|| endpoint.address());
        self.0.info(&[("client", client), ("listener", &listener)], || format!("Accepted {client}"));
    }

    fn dialing(&self, remote: &Remote) {
        self.0.info(&[("remote", remote)], || format!("Establishing new connection with {remote}"));
    }

    fn dial_failed(&self, remote: &Remote) {
        self.0.remotes.failed(remote);
    }

    fn dial_starved(&self, remote: &Remote, error: &io::Error) {
        let warned = &self.0.warned.dial;
        let line = || format!("Cannot connect to {remote}: {}", plain(error));
        self.0.warn_rarely(warned, &[("remote", remote)], line);
    }

    fn retrying(&self, remote: &Remote, retry: u32) {
        let line = format!("Retrying connection with {remote} (#{retry})");
        self.0.line(Severity::Warn, &[("remote", remote), ("retry", &retry)], line);
    }

    fn connected(&self, remote: &Remote) {
        self.0.remotes.connected(remote);
        self.0.info(&[("remote", remote)], || format!("Successful connection to {remote}"));
    }

    fn connect_failed(&self, client: &Client, route: &Route, rounds: u32) {
        // 1.2.4 said ten, and tried eleven times.
        let rounds = if rounds == 11 { "ten".into() } else { rounds.to_string() };
        let attempts = if rounds == "1" { "attempt" } else { "attempts" };
        let line = format!("Connect {route} failed after {rounds} {attempts}.");
        self.0.line(Severity::Error, &[("client", client), ("remote", route)], line);
    }

    fn redirected_too_often(&self, client: &Client, limit: u32) {
        let line =
            format!("{client} proxy_connect_error named another remote more than {limit} times. Closing.");
        self.0.line(Severity::Error, &[("client", client)], line);
    }

    fn finished(&self, client: &Client, account: &Account) {
        self.0.remotes.finished(account);
        if self.0.access.is_on() {
            self.0.access.post(client, account);
        }
    }

    fn ended(&self, client: &Client, end: &End) {
        let about: &About<'_> = &[("client", client)];
        let error = |line| self.0.line(Severity::Error, about, line);
        match end {
            End::ClosedPrematurely { remote } => {
                error(format!("Connection with {remote} was terminated prematurely."));
            }
            End::Inactive { remote, elapsed, limit } => {
                let (elapsed, limit) = (elapsed.as_secs_f64(), limit.as_secs_f64());
                error(format!("Disconnecting {remote} after {elapsed}s of inactivity (> {limit:?})"));
            }
            End::PrereadFull { limit } => {
                error(format!("{client} no decision after {limit} bytes (limit {limit}). Closing."));
            }
            End::BadHeader { reason } => error(format!("{client} {reason}. Closing.")),
            End::Failed => error(format!("{client} internal error. Closing.")),
            End::DecisionTimeout { limit } => {
                self.0.info(about, || {
                    format!("{client} no decision after {:?}s. Closing.", limit.as_secs_f64())
                });
            }
            End::Idle { remote, limit } => {
                let limit = limit.as_secs_f64();
                self.0.info(about, || format!("{client} idle with {remote} for {limit:?}s. Closing."));
            }
            End::ClientLeftFirst => {
                self.0.info(about, || "Client closed while server connection in progress. Dropping.".into());
            }
            // What there is to say was said when it happened.
            End::ClientLeft | End::Refused | End::Undecided | End::ConnectFailed | End::Relayed => {}
        }
    }

    fn closed(&self, left: u64) {
        self.0.renew_title();
        if self.0.draining.load(Relaxed) {
            self.0.info(&[], || format!("Waiting for {left} connections to finish."));
        }
    }

    fn accept_failed(&self, error: &io::Error) {
        let warned = &self.0.warned.accept;
        self.0.warn_rarely(warned, &[], || format!("Cannot accept connections: {}", plain(error)));
    }

    fn full(&self, limit: usize) {
        let line = || format!("Reached the limit of {limit} connections. New ones wait until one ends.");
        self.0.warn_rarely(&self.0.warned.full, &[], line);
    }

    fn thread_finished(&self) {
        self.0.queue.thread_finished();
    }
}
