//! One client, from accept to close.

pub(crate) mod guard;

mod admission;
mod after_relay;
mod decide;
pub(crate) mod first_bytes;
mod linger;
mod not_served;
mod pass_reset;
mod preread;
mod send;
mod start_tls;

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;

use self::admission::{admit, announces_late, close_at_once};
use self::after_relay::after_relay;
use self::decide::{decide, wait_for_reset};
use self::first_bytes::FirstBytes;
use self::guard::{ConnectionGuard, EngineShared, Session};
use self::linger::{end_encrypted, linger, may_lose_data};
use self::not_served::report_not_served;
use self::send::{send, send_now};
use crate::dial::{Dial, DialFailure};
use crate::limits::{Held, SourceLimit};
use crate::net::socket::Socket;
use crate::observer::metrics::{Counter, ListenerMetrics, Timing};
use crate::relay::{self, relay};
use crate::router::Failure;
use crate::tls::Transport;
use crate::{Client, ConnectionRecord, End, Observer, Reason, Remote, Route, Router, Upstream, Verdict};

/// How often the router may name another backend for one client after a failed connect.
const MAX_REDIRECTS: u32 = 10;

/// Starts the session of a client that was just accepted, or closes the client at once if its source is over a limit.
pub(crate) fn start<R: Router, O: Observer>(socket: Socket, mut guard: ConnectionGuard<R, O>) {
    let (shared, Session { client, record, held }) = guard.parts();
    let is_known = !client.endpoint().expects_header();
    if let Err(end) = if is_known { admit(shared, client, held) } else { Ok(()) } {
        report(shared, client, record, &end);
        close_at_once(&socket);
        drop(socket);
        guard.end();
        return;
    }
    if !announces_late(shared, client) {
        shared.observer.announced(client);
    }
    tokio::spawn(run(Transport::new(socket), guard));
}

/// Serves one client to its end.
///
/// A waiting connection is small: deciding, dialing and lingering are boxed and freed when they are over, so that a
/// relaying connection does not carry their state. (An `async fn` would hold its
/// arguments twice.) The guard lends its parts for each step, since references would be kept beside it.
#[expect(clippy::manual_async_fn)]
fn run<R: Router, O: Observer>(
    transport: Transport,
    mut guard: ConnectionGuard<R, O>,
) -> impl Future<Output = ()> + Send {
    async move {
        let served = {
            let (shared, session) = guard.parts();
            catch_panic(pin!(serve(shared, &transport, session))).await
        };
        let is_done = {
            let (notification, is_done) = {
                let (shared, Session { client, record, .. }) = guard.parts();
                conclude(shared, &transport, client, record, served)
            };
            if let Some(notification) = notification {
                catch_panic(notification).await;
            }
            is_done
        };
        if transport.is_encrypted() {
            Box::pin(end_encrypted(&transport, guard.linger())).await;
        }
        let pending = if is_done { None } else { may_lose_data(transport.socket()) };
        if let Some(pending) = pending {
            Box::pin(linger(transport.socket(), pending, guard.linger())).await;
        }
        drop(transport);
        guard.end();
    }
}

/// How a session ended: the reason, unless it was reported already, and whether the client's socket may be closed at
/// once: its stream was read to its end, or the connection is reset.
type Served = (Option<End>, bool);

/// Reports why the connection has ended. Returns the step that tells the router of a backend's failure, if there is
/// one, and whether the client's socket may be closed at once. A function, since a coroutine would keep the reason
/// while it waits.
fn conclude<'a, R: Router, O: Observer>(
    shared: &'a EngineShared<R, O>,
    transport: &'a Transport,
    client: &'a Client,
    record: &'a mut ConnectionRecord,
    served: Option<Served>,
) -> (Option<Pin<Box<impl Future<Output = ()> + Send + use<'a, R, O>>>>, bool) {
    let (end, is_done) = served.unwrap_or((Some(End::Failed), false));
    if let Some(end) = &end {
        report(shared, client, record, end);
    }
    // The backend's socket is closed, so that its place is free.
    record.traffic.lease = None;
    let Some(end) = end else { return (None, is_done) };
    let notification = backend_failure(&end)
        .is_some()
        .then(|| Box::pin(notify_backend_failure(shared, transport, client, record, end)));
    (notification, is_done)
}

/// Records and reports why the connection has ended.
fn report<R: Router, O: Observer>(
    shared: &EngineShared<R, O>,
    client: &Client,
    record: &mut ConnectionRecord,
    end: &End,
) {
    record.end(end);
    if let End::ClosedPrematurely { .. } = end {
        let reason = record.reason().unwrap_or(Reason::Closed);
        if let Some(lease) = &mut record.traffic.lease {
            lease.failed(reason.word());
        }
    }
    count_limit(client.metrics(), end);
    shared.observer.connection_ended(client, end);
}

/// Resolves to `None` if `step` panics: a defect ends one connection and not the process.
fn catch_panic<F: Future + Unpin>(mut step: F) -> impl Future<Output = Option<F::Output>> {
    poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut step).poll(cx))) {
        Ok(polled) => polled.map(Some),
        Err(_) => Poll::Ready(None),
    })
}

/// Returns the failure of a connected backend that `end` stands for.
fn backend_failure(end: &End) -> Option<(Failure, &Remote)> {
    match end {
        End::ClosedPrematurely { remote, .. } => Some((Failure::Premature, remote)),
        End::Inactive { remote, .. } => Some((Failure::Inactivity, remote)),
        _ => None,
    }
}

/// Tells the router of a backend's failure and sends the client the router's last message, if there is one.
async fn notify_backend_failure<R: Router, O: Observer>(
    shared: &EngineShared<R, O>,
    transport: &Transport,
    client: &Client,
    record: &mut ConnectionRecord,
    end: End,
) {
    let message = last_message(shared, client, &end).await;
    send(transport, message, shared.config.linger, client, record).await;
}

/// Tells the router of a backend's failure. Returns the router's last message; empty without a failure or message.
async fn last_message<R: Router, O: Observer>(
    shared: &EngineShared<R, O>,
    client: &Client,
    end: &End,
) -> Bytes {
    let Some((failure, remote)) = backend_failure(end) else { return Bytes::new() };
    let Some(question) = shared.router.failed(client, failure, remote.to_string()) else {
        return Bytes::new();
    };
    match question.await {
        Some(Verdict::Close(Some(message))) => message,
        _ => Bytes::new(),
    }
}

/// Decides, dials and relays.
#[expect(clippy::manual_async_fn)] // As for run().
fn serve<'a, R: Router, O: Observer>(
    shared: &'a Arc<EngineShared<R, O>>,
    transport: &'a Transport,
    session: &'a mut Session,
) -> impl Future<Output = Served> + Send + use<'a, R, O> {
    async move {
        let decided = match Box::pin(decide(shared, transport, session)).await {
            Ok(decided) => decided,
            Err(end @ End::SourceLimit { .. }) => {
                close_at_once(transport.socket());
                return (Some(end), true);
            }
            Err(end) => return (Some(end), false),
        };
        let (backend, start) = match Box::pin(establish(shared, transport, session, decided)).await {
            Ok(connected) => connected,
            Err(end) => return (Some(end), false),
        };
        // Boxed, since few upstreams end the sessions of a server that is down. A relay is created where it is awaited: a
        // coroutine has room for a variable that was moved, too.
        let down =
            session.record.traffic.lease.as_mut().and_then(|lease| lease.take_down_signal()).map(Box::pin);
        let is_encrypted = transport.is_encrypted() || backend.is_encrypted();
        let (served, step) = if is_encrypted {
            let (traffic, metrics) = (&mut session.record.traffic, session.client.metrics());
            // Not boxed: the coroutine has the room, which a relay between sockets needs.
            let relayed = match down {
                None => relay(transport, &backend, start, traffic, metrics).await,
                Some(down) => {
                    match unless_down(relay(transport, &backend, start, traffic, metrics), down).await {
                        Some(relayed) => relayed,
                        None => return (Some(server_down(&session.record)), false),
                    }
                }
            };
            count_truncated(transport, &backend, session.client.metrics());
            after_relay(shared, transport, session, &backend, relayed)
        } else {
            let (socket, server) = (transport.socket(), backend.socket());
            let (traffic, metrics) = (&mut session.record.traffic, session.client.metrics());
            let relayed = match down {
                None => relay(socket, server, start, traffic, metrics).await,
                Some(down) => match unless_down(relay(socket, server, start, traffic, metrics), down).await {
                    Some(relayed) => relayed,
                    None => return (Some(server_down(&session.record)), false),
                },
            };
            after_relay(shared, transport, session, &backend, relayed)
        };
        match step {
            Some(step) => catch_panic(step).await.unwrap_or((None, false)),
            None => served,
        }
    }
}

/// Returns the reason for the end of a session whose server was found down.
fn server_down(record: &ConnectionRecord) -> End {
    End::ServerDown { remote: record.remote.clone().expect("a relay has a backend") }
}

/// Awaits a relay, unless a check finds the server down.
fn unless_down<T>(
    relaying: impl Future<Output = T>,
    mut down: Pin<Box<impl Future<Output = ()>>>,
) -> Pin<Box<impl Future<Output = Option<T>>>> {
    Box::pin(async move {
        tokio::select! {
            biased;
            relayed = relaying => Some(relayed),
            () = &mut down => None,
        }
    })
}

/// How dialing the backends of one route ended.
enum Dialed {
    /// This backend is connected.
    Connected(Transport, Remote),
    /// No backend could be connected.
    Failed(DialFailure),
    /// The client reset its connection meanwhile.
    ClientReset,
}

/// Follows the router's verdicts until a backend is connected, and reports what the client has sent if there is none.
async fn establish<'a, R: Router, O: Observer>(
    shared: &'a EngineShared<R, O>,
    transport: &Transport,
    session: &mut Session,
    (verdict, mut received): (Verdict, Bytes),
) -> Result<(Transport, relay::Start<'a>), End> {
    let Session { client, record, held } = session;
    let established = connect(shared, transport, client, record, held, verdict, &mut received).await;
    if let Err(end) = &established {
        report_not_served(shared, transport, client, record, end, &received);
    }
    established
}

/// Follows the router's verdicts until a backend is connected. Returns the backend and the start of the relay. On failure
/// `received` is what the client has sent so far.
async fn connect<'a, R: Router, O: Observer>(
    shared: &'a EngineShared<R, O>,
    transport: &Transport,
    client: &Client,
    record: &mut ConnectionRecord,
    held: &mut Held,
    mut verdict: Verdict,
    received: &mut Bytes,
) -> Result<(Transport, relay::Start<'a>), End> {
    let mut failures = 0;
    let mut has_sent = !received.is_empty();
    // The upstream without room for which the last route has failed.
    let mut full: Option<Arc<Upstream>> = None;
    let failed = |full: Option<Arc<Upstream>>| match full {
        Some(upstream) => End::UpstreamFull { upstream: upstream.name().into() },
        None => End::ConnectFailed,
    };
    loop {
        let mut route = match verdict {
            Verdict::Connect(route) => route,
            Verdict::Close(message) => {
                let message = message.unwrap_or_default();
                Box::pin(send(transport, message, shared.config.linger, client, record)).await;
                return Err(if failures == 0 { End::ClosedByRouter } else { failed(full) });
            }
            Verdict::Fault(fault) => return Err(End::RouterFailed { fault }),
            Verdict::Wait(_) | Verdict::Tls(_) => {
                unreachable!("decide() does both, and after a failure there is neither")
            }
        };
        if let Some(limit) = route.limit.take() {
            if let Err(exceeded) = shared.limits.acquire(&limit.limits, held) {
                Box::pin(send(transport, limit.over, shared.config.linger, client, record)).await;
                return Err(End::KeyLimit { key: exceeded.key, max: exceeded.max });
            }
        }
        let reply = route.reply.take().unwrap_or_default();
        let to_client = send_now(transport, reply, client, record).map_err(|_| End::ClientLeftFirst)?;
        let mut first = FirstBytes::new(&mut route, received);
        let dialed = dial_until_reset(shared, transport, client, record, &route, &mut first, &mut has_sent);
        let failure = match dialed.await {
            Dialed::Connected(backend, remote) => {
                let start = relay::Start {
                    to_backend: first.unsent,
                    to_client,
                    inactivity_timeout: route.inactivity_timeout,
                    half_closed_timeout: shared.config.half_closed_timeout,
                    idle_timeout: shared.config.idle_timeout,
                    keepalive: Some(&shared.config),
                };
                record.remote = Some(remote);
                return Ok((backend, start));
            }
            Dialed::ClientReset => return Err(End::ClientLeftFirst),
            Dialed::Failed(failure) => failure,
        };
        if let Some(replay) = first.into_received() {
            *received = replay;
        }
        client.metrics().connect_failed(record.dial_reason());
        Box::pin(send(transport, to_client, shared.config.linger, client, record)).await;
        if transport.has_ended() {
            return Err(End::ClientLeftFirst);
        }
        match &failure.full {
            Some(upstream) => shared.observer.upstream_full(client, upstream.name()),
            None => shared.observer.connect_failed(client, &route, failure.rounds, record.dial_reason()),
        }
        full = failure.full;
        verdict = match Box::pin(next_verdict(shared, client, &route, failures)).await {
            Some(verdict) => verdict,
            None => return Err(failed(full)),
        };
        failures += 1;
    }
}

/// Dials the route's backends unless the client resets its connection, and records the result.
async fn dial_until_reset<R: Router, O: Observer>(
    shared: &EngineShared<R, O>,
    transport: &Transport,
    client: &Client,
    record: &mut ConnectionRecord,
    route: &Route,
    first: &mut FirstBytes,
    has_sent: &mut bool,
) -> Dialed {
    let begun = Instant::now();
    record.dialing(begun.saturating_duration_since(client.accepted()));
    let mut dial = Dial {
        config: &shared.config,
        resolver: &shared.resolver,
        observer: &*shared.observer,
        client,
        record,
        route,
        socket: transport.socket(),
        has_sent,
    };
    let dialed = tokio::select! {
        biased;
        dialed = dial.run(first) => match dialed {
            Ok((backend, remote)) => Dialed::Connected(backend, remote),
            Err(failure) => Dialed::Failed(failure),
        },
        () = wait_for_reset(transport.socket()) => Dialed::ClientReset,
    };
    let now = Instant::now();
    if let Dialed::Connected(..) = dialed {
        record.connected(now, client.accepted());
        client.metrics().took(Timing::Connect, now.saturating_duration_since(begun));
        record.traffic.sent_to_backend(first.sent(), client.metrics());
    }
    dialed
}

/// Asks the router what to do after a failed route: take another one, or close with a last message. Returns `None` if the
/// connection ends.
async fn next_verdict<R: Router, O: Observer>(
    shared: &EngineShared<R, O>,
    client: &Client,
    route: &Route,
    failures: u32,
) -> Option<Verdict> {
    let question = shared.router.failed(client, Failure::Connect, route.to_string())?;
    match question.await {
        Some(Verdict::Connect(_)) if failures == MAX_REDIRECTS => {
            shared.observer.redirected_too_often(client, MAX_REDIRECTS);
            None
        }
        None | Some(Verdict::Wait(_) | Verdict::Tls(_)) => None,
        verdict => verdict,
    }
}

/// Counts the sides that ended without a close_notify.
fn count_truncated(client: &Transport, backend: &Transport, metrics: &ListenerMetrics) {
    let sides = [client, backend].into_iter().filter(|side| side.was_truncated());
    metrics.add(Counter::TlsTruncated, sides.count() as u64);
}

/// Counts a limit that ended a connection before the relay, which counts its own.
fn count_limit(metrics: &ListenerMetrics, end: &End) {
    match end {
        End::PrereadFull { .. } => metrics.count(Counter::LimitPreread),
        End::DecisionTimeout { .. } => metrics.count(Counter::LimitDecision),
        End::SourceLimit { limit: SourceLimit::Connections, .. } => {
            metrics.count(Counter::LimitSourceConnections);
        }
        End::SourceLimit { limit: SourceLimit::Rate, .. } => metrics.count(Counter::LimitSourceRate),
        End::KeyLimit { .. } => metrics.count(Counter::LimitKey),
        _ => {}
    }
}
