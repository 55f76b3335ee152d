//! The steps after a relay: a reset is passed on, and a backend that ended without a byte gets the rest of the upload.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use super::guard::{EngineShared, Session};
use super::pass_reset::pass_reset;
use super::send::send;
use super::{Served, last_message, report};
use crate::net::keepalive::Keepalive;
use crate::net::stream::Stream;
use crate::relay::{self, RelayEnd, RelayOutcome, Side, Upload};
use crate::tls::Transport;
use crate::{Client, ConnectionRecord, End, Observer, Router};

/// A step that remains after a relay.
type Step<'a> = Pin<Box<dyn Future<Output = Served> + Send + 'a>>;

/// Returns how the session ended, or the step that remains. A function, since a coroutine would keep the end while it
/// waits; most connections have no such step.
pub(super) fn after_relay<'a, R: Router, O: Observer, C: Stream + Sync, S: Stream + Sync>(
    shared: &'a EngineShared<R, O>,
    transport: &'a Transport,
    session: &'a mut Session,
    backend: &'a Transport,
    relayed: RelayEnd<'a, C, S>,
) -> (Served, Option<Step<'a>>) {
    let Session { client, record, .. } = session;
    let RelayEnd { outcome, client_eof, reset, is_overdue, upload } = relayed;
    let end = relayed_end(&outcome, client_eof, reset, transport, record);
    if let End::ClosedPrematurely { remote, .. } = &end {
        if let Some(error) = backend.failure() {
            shared.observer.tls_failed(client, remote, &error);
        }
    }
    if reset.is_none() && upload.is_none() {
        backend.end_now(); // After a timeout.
        return ((Some(end), client_eof), None);
    }
    backend.keep_alive(Keepalive::of(&shared.config)); // The relay may have been too short to do so.
    let has_failed = outcome == RelayOutcome::Unanswered;
    let rest = Rest { shared, transport, client, record, backend };
    let step = async move {
        match (has_failed, upload) {
            (false, _) => {
                rest.pass_on(reset, is_overdue).await;
                (Some(end), true)
            }
            (true, None) => rest.end_after_reset(end).await,
            (true, Some(upload)) => rest.upload(end, upload).await,
        }
    };
    ((None, false), Some(Box::pin(step)))
}

/// Returns the reason that a relay's outcome is for the connection.
fn relayed_end(
    outcome: &RelayOutcome,
    client_eof: bool,
    reset: Option<Side>,
    transport: &Transport,
    record: &ConnectionRecord,
) -> End {
    let remote = || record.remote.clone().expect("a relay has a backend");
    match *outcome {
        RelayOutcome::Finished => End::Relayed,
        RelayOutcome::Abandoned => End::ClientLeftFirst,
        RelayOutcome::Idle { limit } => End::Idle { remote: remote(), limit },
        _ if client_eof || transport.has_ended() => End::ClientLeftFirst,
        RelayOutcome::Unanswered => {
            End::ClosedPrematurely { remote: remote(), is_reset: reset == Some(Side::Client) }
        }
        RelayOutcome::Inactive { elapsed, limit } => End::Inactive { remote: remote(), elapsed, limit },
    }
}

/// A connection whose relay is over.
struct Rest<'a, R, O> {
    shared: &'a EngineShared<R, O>,
    transport: &'a Transport,
    client: &'a Client,
    record: &'a mut ConnectionRecord,
    backend: &'a Transport,
}

impl<'a, R: Router, O: Observer> Rest<'a, R, O> {
    /// Resets `side` when it has acknowledged everything. If a timeout has ended the relay, `side` has had its time.
    async fn pass_on(&self, side: Option<Side>, is_overdue: bool) {
        let transport = match side {
            Some(Side::Backend) => self.backend,
            Some(Side::Client) => self.transport,
            None => return,
        };
        transport.abandon();
        let config = &self.shared.config;
        let limit = [config.half_closed_timeout, config.idle_timeout].into_iter().flatten().min();
        pass_reset(transport.socket(), if is_overdue { Some(Duration::ZERO) } else { limit }).await;
    }

    /// Reports a backend that was reset before its first byte. The reset is passed on, unless the router has a last
    /// message, which a reset could discard.
    async fn end_after_reset(self, end: End) -> Served {
        report(self.shared, self.client, self.record, &end);
        let message = last_message(self.shared, self.client, &end).await;
        if message.is_empty() {
            self.pass_on(Some(Side::Client), false).await;
            return (None, true);
        }
        send(self.transport, message, self.shared.config.linger, self.client, self.record).await;
        (None, false)
    }

    /// Reports a backend that ended its side without having sent a byte, sends the client the router's last message and
    /// the end, and relays what the client still sends for as long as the backend takes it.
    async fn upload<C: Stream, S: Stream>(self, end: End, upload: Upload<'a, C, S>) -> Served {
        report(self.shared, self.client, self.record, &end);
        let message = last_message(self.shared, self.client, &end).await;
        let has_message = !message.is_empty();
        let code = self.record.traffic.code;
        let config = &self.shared.config;
        let (half_closed, idle) = (config.half_closed_timeout, config.idle_timeout);
        let (traffic, metrics) = (&mut self.record.traffic, self.client.metrics());
        let resumed = relay::resume(upload, message, half_closed, idle, traffic, metrics).await;
        let (reset, client_eof) = (resumed.reset, resumed.client_eof);
        self.record.traffic.code = code;
        // A reset could discard the message.
        if reset == Some(Side::Client) && has_message {
            return (None, false);
        }
        self.pass_on(reset, resumed.is_overdue).await;
        (None, client_eof || reset.is_some())
    }
}
