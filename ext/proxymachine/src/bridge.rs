//! The engine's Router and Observer: both turn what they are told into events for the Ruby thread.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use proxymachine_engine::error::plain;
use proxymachine_engine::{End, Observer, Remote, Router, Verdict};
use tokio::sync::oneshot;

use crate::lock;
use crate::log::{Line, Severity};
use crate::queue::{Call, Callback, Event, Queue};

/// What the engine's threads and the Ruby thread both know.
pub struct Bridge {
    pub queue: Arc<Queue>,
    /// Whether the logger wants INFO lines; else they are not even composed.
    pub info: AtomicBool,
    /// Whether the process title tells old numbers.
    pub title_stale: AtomicBool,
    pub draining: AtomicBool,
    accept_warned: Mutex<Option<Instant>>,
}

/// How often it is said that connections cannot be accepted, which may be for as long as it lasts.
const ACCEPT_WARN_PERIOD: Duration = Duration::from_secs(60);

impl Bridge {
    pub fn new(threads: usize) -> Self {
        Self {
            queue: Arc::new(Queue::new(threads)),
            info: AtomicBool::new(true),
            title_stale: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            accept_warned: Mutex::default(),
        }
    }

    fn info(&self, text: impl FnOnce() -> String) {
        if self.info.load(Relaxed) {
            self.line(Severity::Info, text());
        }
    }

    fn line(&self, severity: Severity, text: String) {
        self.queue.post(Event::Line(Line::new(severity, text)));
    }

    /// The Ruby thread renews the title, at most once a second.
    fn renew_title(&self) {
        if !self.title_stale.swap(true, Relaxed) {
            self.queue.signal.raise();
        }
    }
}

/// Asks the config's block.
pub struct BlockRouter(pub Arc<Bridge>);

impl Router for BlockRouter {
    async fn route(&self, client: &SocketAddr, data: Bytes) -> Verdict {
        let (answer, verdict) = oneshot::channel();
        self.0.queue.post(Event::Call(Call::Router { client: *client, data, answer }));
        // No answer: the Ruby thread is on its way out.
        verdict.await.unwrap_or(Verdict::Close(None))
    }
}

/// Writes the log lines of the contract and runs the config's callbacks.
pub struct Reporter(pub Arc<Bridge>);

impl Reporter {
    /// Logs, and asks for the config's callback. Done when that has returned.
    fn failure(&self, callback: Callback, remote: &Remote, line: String) -> oneshot::Receiver<()> {
        self.0.line(Severity::Error, line);
        let (done, called) = oneshot::channel();
        self.0.queue.post(Event::Call(Call::Callback { callback, remote: remote.to_string(), done }));
        called
    }

    /// Says why a connection ended. Returns when the config's callback has returned, if there is one.
    fn report(&self, client: &SocketAddr, end: End) -> Option<oneshot::Receiver<()>> {
        use Callback::{ConnectError, InactivityError};
        match end {
            End::ConnectFailed { remote } => {
                let line = format!("Connect {remote} failed after ten attempts.");
                Some(self.failure(ConnectError, &remote, line))
            }
            End::ClosedPrematurely { remote } => {
                let line = format!("Connection with {remote} was terminated prematurely.");
                Some(self.failure(ConnectError, &remote, line))
            }
            End::Inactive { remote, elapsed, limit } => {
                let (elapsed, limit) = (elapsed.as_secs_f64(), limit.as_secs_f64());
                let line = format!("Disconnecting {remote} after {elapsed}s of inactivity (> {limit:?})");
                Some(self.failure(InactivityError, &remote, line))
            }
            End::PrereadFull { limit } => {
                let client = Peer(client);
                let line = format!("{client} no decision after {limit} bytes (limit {limit}). Closing.");
                self.0.line(Severity::Error, line);
                None
            }
            End::ClientLeftFirst => {
                self.0.info(|| "Client closed while server connection in progress. Dropping.".into());
                None
            }
            End::Failed => {
                self.0.line(Severity::Error, format!("{} internal error. Closing.", Peer(client)));
                None
            }
            End::ClientLeft | End::Refused | End::Undecided | End::Relayed => None,
        }
    }
}

impl Observer for Reporter {
    fn accepted(&self, client: &SocketAddr) {
        self.0.renew_title();
        self.0.info(|| format!("Accepted {}", Peer(client)));
    }

    fn dialing(&self, remote: &Remote) {
        self.0.info(|| format!("Establishing new connection with {remote}"));
    }

    fn retrying(&self, remote: &Remote, retry: u32) {
        self.0.line(Severity::Warn, format!("Retrying connection with {remote} (#{retry})"));
    }

    fn connected(&self, remote: &Remote) {
        self.0.info(|| format!("Successful connection to {remote}"));
    }

    fn ended(&self, client: &SocketAddr, end: End) -> impl Future<Output = ()> + Send {
        let callback = self.report(client, end);
        async move {
            if let Some(called) = callback {
                let _ = called.await; // No answer: the Ruby thread is on its way out.
            }
        }
    }

    fn closed(&self, left: u64) {
        self.0.renew_title();
        if self.0.draining.load(Relaxed) {
            self.0.info(|| format!("Waiting for {left} connections to finish."));
        }
    }

    fn accept_failed(&self, error: &io::Error) {
        let mut warned = lock(&self.0.accept_warned);
        if warned.is_none_or(|then| then.elapsed() >= ACCEPT_WARN_PERIOD) {
            *warned = Some(Instant::now());
            self.0.line(Severity::Warn, format!("Cannot accept connections: {}", plain(error)));
        }
    }

    fn thread_finished(&self) {
        self.0.queue.thread_finished();
    }
}

/// `IP:PORT`, an IPv6 address without brackets, as 1.2.4 logged it.
pub struct Peer<'a>(pub &'a SocketAddr);

impl std::fmt::Display for Peer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.0.ip(), self.0.port())
    }
}
