//! The engine's observer: writes the log lines and the access log, and counts by backend.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proxymachine_engine::error::plain;
use proxymachine_engine::limits::WorstSource;
use proxymachine_engine::tls::HandshakeError;
use proxymachine_engine::upstream::Change;
use proxymachine_engine::{
    Client, ConnectionRecord, DialError, End, Observer, Reason, Remote, Route, Target,
};

use crate::event::Event;
use crate::lock;
use crate::log::{Severity, printable};
use crate::memory;
use crate::outbox;
use crate::recorder::recording::Recording;
use crate::shared::{Field, RubyShared};

/// Interval between two warnings about one exhausted resource.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// Writes log lines for the events of the engine.
pub struct LogObserver {
    shared: Arc<RubyShared>,
    warned: Warned,
}

/// Times of the last warnings about exhausted resources.
#[derive(Default)]
struct Warned {
    accept: Mutex<Option<Instant>>,
    dial: Mutex<Option<Instant>>,
    connection_limit: Mutex<Option<Instant>>,
}

impl LogObserver {
    pub fn new(shared: &Arc<RubyShared>) -> Self {
        Self { shared: Arc::clone(shared), warned: Warned::default() }
    }

    fn info(&self, client: Option<&Client>, fields: &[Field<'_>], text: impl FnOnce() -> String) {
        if self.shared.is_info.load(Relaxed) {
            self.line(Severity::Info, client, fields, text());
        }
    }

    fn line(&self, severity: Severity, client: Option<&Client>, fields: &[Field<'_>], text: String) {
        let line = self.shared.line(severity, client, fields, text);
        outbox::post(&self.shared.mailbox, Event::Line(line));
    }

    fn warn_rarely(
        &self,
        warned: &Mutex<Option<Instant>>,
        client: Option<&Client>,
        fields: &[Field<'_>],
        text: impl FnOnce() -> String,
    ) {
        let mut warned = lock(warned);
        if warned.is_none_or(|then| then.elapsed() >= WARN_INTERVAL) {
            *warned = Some(Instant::now());
            self.line(Severity::Warn, client, fields, text());
        }
    }

    /// Logs a line from any thread, which may have no outbox.
    fn line_from_anywhere(&self, severity: Severity, fields: &[Field<'_>], text: String) {
        let line = self.shared.line(severity, None, fields, text);
        self.shared.mailbox.send(vec![Event::Line(line)]);
    }

    fn server_down(&self, upstream: &str, server: &Remote, reason: &str) {
        let reason = printable(reason);
        let fields: &[Field<'_>] = &[("upstream", &upstream), ("remote", server), ("reason", &reason)];
        let line = format!("Upstream {upstream}: {server} is down: {reason}");
        self.line_from_anywhere(Severity::Warn, fields, line);
    }

    fn server_up(&self, upstream: &str, server: &Remote) {
        if self.shared.is_info.load(Relaxed) {
            let fields: &[Field<'_>] = &[("upstream", &upstream), ("remote", server)];
            let line = format!("Upstream {upstream}: {server} is up");
            self.line_from_anywhere(Severity::Info, fields, line);
        }
    }

    fn no_server_up(&self, upstream: &str) {
        let line = format!("Upstream {upstream}: no server is up");
        self.line_from_anywhere(Severity::Error, &[("upstream", &upstream)], line);
    }

    /// Has the Ruby thread renew the process title, which the thread does at most once a second.
    fn renew_title(&self) {
        if !self.shared.is_title_stale.swap(true, Relaxed) {
            self.shared.mailbox.wakeup.wake();
        }
    }
}

impl Observer for LogObserver {
    fn accepted(&self, _client: &Client) {
        self.renew_title();
    }

    fn announced(&self, client: &Client) {
        let endpoint = client.endpoint();
        let listener = endpoint.name().unwrap_or_else(|| endpoint.address());
        self.info(Some(client), &[("listener", &listener)], || format!("Accepted {client}"));
    }

    fn dialing(&self, client: &Client, remote: &Remote) {
        let line = || format!("Establishing new connection with {remote}");
        self.info(Some(client), &[("remote", remote)], line);
    }

    fn dial_failed(&self, client: &Client, remote: &Remote, error: &DialError, is_news: bool) {
        self.shared.backends.failed(remote);
        // Further attempts that fail alike have their line "Retrying connection". The line is INFO, since scripts for
        // 1.2.4 count the warnings.
        if is_news {
            let fields: &[Field<'_>] = &[("remote", remote), ("reason", &error.reason.word())];
            self.info(Some(client), fields, || format!("{client} cannot reach {remote}: {error}"));
        }
    }

    fn tls_failed(&self, client: &Client, remote: &Remote, error: &HandshakeError) {
        self.shared.backends.failed(remote);
        let fields: &[Field<'_>] = &[("remote", remote), ("reason", &Reason::Tls.word())];
        self.line(Severity::Warn, Some(client), fields, format!("TLS with {remote} failed: {error}"));
    }

    fn dial_starved(&self, client: &Client, remote: &Remote, error: &io::Error) {
        let warned = &self.warned.dial;
        let line = || format!("Cannot connect to {remote}: {}", plain(error));
        self.warn_rarely(warned, Some(client), &[("remote", remote)], line);
    }

    fn retrying(&self, client: &Client, remote: &Target, retry: u32, reason: Reason) {
        let line = format!("Retrying connection with {remote} (#{retry})");
        let fields: &[Field<'_>] = &[("remote", remote), ("retry", &retry), ("reason", &reason.word())];
        self.line(Severity::Warn, Some(client), fields, line);
    }

    fn connected(&self, client: &Client, remote: &Remote) {
        self.shared.backends.connected(remote);
        let line = || format!("Successful connection to {remote}");
        self.info(Some(client), &[("remote", remote)], line);
    }

    fn connect_failed(&self, client: &Client, route: &Route, rounds: u32, reason: Reason) {
        // 1.2.4 logged "ten attempts" after eleven rounds.
        let rounds = if rounds == 11 { "ten".into() } else { rounds.to_string() };
        let attempts = if rounds == "1" { "attempt" } else { "attempts" };
        let line = format!("Connect {route} failed after {rounds} {attempts}.");
        let fields: &[Field<'_>] = &[("remote", route), ("reason", &reason.word())];
        self.line(Severity::Error, Some(client), fields, line);
    }

    fn upstream_full(&self, client: &Client, upstream: &str) {
        let fields: &[Field<'_>] = &[("upstream", &upstream), ("reason", &Reason::Full.word())];
        self.info(Some(client), fields, || format!("{client} upstream {upstream} is full. Closing."));
    }

    fn upstream_changed(&self, upstream: &str, change: &Change) {
        match change {
            Change::Down { server, reason } => self.server_down(upstream, server, reason),
            Change::Up { server } => self.server_up(upstream, server),
            Change::NoneUp => self.no_server_up(upstream),
        }
    }

    fn redirected_too_often(&self, client: &Client, limit: u32) {
        let line =
            format!("{client} proxy_connect_error named another remote more than {limit} times. Closing.");
        self.line(Severity::Error, Some(client), &[], line);
    }

    fn connection_recorded(&self, client: &Client, record: &ConnectionRecord) {
        self.shared.backends.finished(record);
        self.shared.failures.add(client, record);
        if self.shared.access_log.is_on() && !record.is_null() {
            self.shared.access_log.post(client, record);
        }
    }

    fn wants_first_bytes(&self) -> bool {
        self.shared.recorder.is_on()
    }

    fn not_served(&self, client: &Client, record: &ConnectionRecord, end: &End, received: &[u8]) {
        if let Some(recording) = Recording::new(client, record, end, received) {
            self.shared.recorder.post(recording);
        }
    }

    fn connection_ended(&self, client: &Client, end: &End) {
        let error = |fields: &[Field<'_>], line| self.line(Severity::Error, Some(client), fields, line);
        match end {
            End::ClosedPrematurely { remote, is_reset } => {
                let reason = if *is_reset { Reason::Reset } else { Reason::Closed };
                let fields: &[Field<'_>] = &[("remote", remote), ("reason", &reason.word())];
                error(fields, format!("Connection with {remote} was terminated prematurely."));
            }
            End::Inactive { remote, elapsed, limit } => {
                let (elapsed, limit) = (elapsed.as_secs_f64(), limit.as_secs_f64());
                let fields: &[Field<'_>] = &[("remote", remote), ("reason", &Reason::Inactive.word())];
                error(fields, format!("Disconnecting {remote} after {elapsed}s of inactivity (> {limit:?})"));
            }
            End::PrereadFull { limit } => {
                error(&[], format!("{client} no decision after {limit} bytes (limit {limit}). Closing."));
            }
            End::TlsFailed { error } => {
                self.info(Some(client), &[("reason", error)], || {
                    format!("{client} TLS handshake failed: {error}")
                });
            }
            End::ClearBeforeTls { count } => {
                error(
                    &[],
                    format!("{client} sent {count} bytes in clear before the TLS handshake. Closing."),
                );
            }
            End::BadHeader { reason } => error(&[], format!("{client} {reason}. Closing.")),
            End::Failed => error(&[], format!("{client} internal error. Closing.")),
            End::DecisionTimeout { limit, is_silent } => {
                let reason = if *is_silent { Reason::Silent } else { Reason::Undecided };
                self.info(Some(client), &[("reason", &reason.word())], || {
                    format!("{client} no decision after {:?}s. Closing.", limit.as_secs_f64())
                });
            }
            End::KeyLimit { key, max } => {
                let key = printable(&key.to_string());
                self.info(Some(client), &[("key", &key), ("limit", max)], || {
                    format!("{client} {key} has its {max} connections. Closing.")
                });
            }
            End::Idle { remote, limit } => {
                let limit = limit.as_secs_f64();
                self.info(Some(client), &[("remote", remote)], || {
                    format!("{client} idle with {remote} for {limit:?}s. Closing.")
                });
            }
            End::ClientLeftFirst => {
                self.info(Some(client), &[], || {
                    "Client closed while server connection in progress. Dropping.".into()
                });
            }
            End::ServerDown { remote } => {
                let fields: &[Field<'_>] = &[("remote", remote), ("reason", &Reason::Down.word())];
                self.info(Some(client), fields, || format!("{client} {remote} is down. Closing."));
            }
            // The line, if there is one, was logged when the event happened.
            End::ClientLeft
            | End::ClosedByRouter
            | End::SourceLimit { .. }
            | End::RouterFailed { .. }
            | End::Undecided
            | End::ConnectFailed
            | End::UpstreamFull { .. }
            | End::Relayed => {}
        }
    }

    fn connection_closed(&self, left: u64) {
        self.renew_title();
        if self.shared.is_draining.load(Relaxed) {
            self.info(None, &[], || format!("Waiting for {left} connections to finish."));
        }
    }

    fn accept_failed(&self, error: &io::Error) {
        let warned = &self.warned.accept;
        self.warn_rarely(warned, None, &[], || format!("Cannot accept connections: {}", plain(error)));
    }

    fn connection_limit_reached(&self, limit: usize) {
        let line = || format!("Reached the limit of {limit} connections. New ones wait until one ends.");
        self.warn_rarely(&self.warned.connection_limit, None, &[], line);
    }

    fn source_over_limit(&self, worst: &WorstSource) {
        let WorstSource { source, limit, max, closed, all, within } = worst;
        let (setting, time) = (limit.setting(), time_span(*within));
        let connections = if *closed == 1 { "connection" } else { "connections" };
        let line = format!(
            "{source} is over {setting} {max}: closed {closed} {connections} from there, {all} of all sources{time}."
        );
        let fields: &[Field<'_>] = &[("source", source), ("setting", &setting), ("closed", closed)];
        self.line(Severity::Warn, None, fields, line);
    }

    fn memory_freed(&self) {
        memory::give_back();
    }

    fn thread_finished(&self) {
        outbox::flush(&self.shared.mailbox, None);
        self.shared.mailbox.thread_finished();
    }
}

/// Returns a duration for the end of a sentence; nothing for less than a second.
fn time_span(duration: Duration) -> String {
    match duration.as_secs() {
        0 => String::new(),
        seconds => format!(" in {seconds} s"),
    }
}
