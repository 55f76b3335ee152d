//! One client, from accept to close.

use std::future::{Future, poll_fn};
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};

use crate::account::Account;
use crate::decide::{decide, reset};
use crate::dial::dial;
use crate::farewell::{linger, may_lose_words, send_all};
use crate::meters::{Count, Meters, Time};
use crate::relay::{self, Outcome, relay};
use crate::router::Failure;
use crate::server::{Admission, Context};
use crate::socket::{Socket, is_would_block};
use crate::{Client, End, Observer, Remote, Route, Router, Verdict, proxy_protocol};

/// How often the router may name another backend for one client after the last one could not be reached.
const MAX_REDIRECTS: u32 = 10;

/// Serves one client to its end.
///
/// What waits is small: the long steps are boxed and gone when they are over, so that a relaying connection
/// does not carry the room that deciding, dialing and taking leave need. (An `async fn` would hold its arguments
/// twice.)
#[expect(clippy::manual_async_fn)]
pub(crate) fn run<R: Router, O: Observer>(
    socket: Socket,
    mut admission: Admission<R, O>,
) -> impl Future<Output = ()> + Send {
    async move {
        let (context, client, account) = admission.parts();
        let served = guarded(Box::pin(serve(context, &socket, client, account))).await;
        let heard_all = {
            let (complaint, heard_all) = conclude(context, &socket, client, account, served);
            if let Some(complaint) = complaint {
                guarded(complaint).await;
            }
            heard_all
        };
        let unsure = if heard_all { None } else { may_lose_words(&socket) };
        if let Some(unsent) = unsure {
            Box::pin(linger(&socket, unsent, context.config.linger)).await;
        }
        drop(socket);
        admission.end();
    }
}

/// Tells why it has ended. Returns what is still to be done about it, and whether all that the client sent was
/// read. A function, since a coroutine would keep the reason as long as it waits.
fn conclude<'a, R: Router, O: Observer>(
    context: &'a Context<R, O>,
    socket: &'a Socket,
    client: &'a Client,
    account: &'a mut Account,
    served: Option<(End, bool)>,
) -> (Option<Pin<Box<impl Future<Output = ()> + Send + use<'a, R, O>>>>, bool) {
    let (end, heard_all) = served.unwrap_or((End::Failed, false));
    account.end(&end);
    count_limit(client.meters(), &end);
    context.observer.ended(client, &end);
    let complaint = blamed(&end).is_some().then(|| Box::pin(complain(context, socket, client, account, end)));
    (complaint, heard_all)
}

/// What a relay's outcome means for the connection.
fn relayed_end((outcome, client_ended): &(Outcome, bool), socket: &Socket, account: &Account) -> End {
    let remote = || account.remote.clone().expect("it was connected");
    match *outcome {
        Outcome::Finished => End::Relayed,
        Outcome::Abandoned => End::ClientLeftFirst,
        Outcome::Idle { limit } => End::Idle { remote: remote(), limit },
        _ if *client_ended || socket.has_ended() => End::ClientLeftFirst,
        Outcome::Unanswered => End::ClosedPrematurely { remote: remote() },
        Outcome::Inactive { elapsed, limit } => End::Inactive { remote: remote(), elapsed, limit },
    }
}

/// A panic, which would be a defect, ends its own connection like any other reason: None.
fn guarded<F: Future + Unpin>(mut step: F) -> impl Future<Output = Option<F::Output>> {
    poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut step).poll(cx))) {
        Ok(polled) => polled.map(Some),
        Err(_) => Poll::Ready(None),
    })
}

/// The backend that is to blame for an end, once it was connected.
fn blamed(end: &End) -> Option<(Failure, &Remote)> {
    match end {
        End::ClosedPrematurely { remote } => Some((Failure::Premature, remote)),
        End::Inactive { remote, .. } => Some((Failure::Inactivity, remote)),
        _ => None,
    }
}

/// Tells the router of it, which may have last words for the client.
async fn complain<R: Router, O: Observer>(
    context: &Context<R, O>,
    socket: &Socket,
    client: &Client,
    account: &mut Account,
    end: End,
) {
    let Some((failure, remote)) = blamed(&end) else { return };
    let Some(question) = context.router.failed(client, failure, remote.to_string()) else { return };
    if let Some(Verdict::Close(Some(words))) = question.await {
        send(context, socket, words, client, account).await;
    }
}

/// Why it ended, and whether all that the client sent was read, to its end.
#[expect(clippy::manual_async_fn)] // as for run()
fn serve<'a, R: Router, O: Observer>(
    context: &'a Context<R, O>,
    socket: &'a Socket,
    client: &'a mut Client,
    account: &'a mut Account,
) -> impl Future<Output = (End, bool)> + Send + use<'a, R, O> {
    async move {
        let decided = match Box::pin(decide(context, socket, client, account)).await {
            Ok(decided) => decided,
            Err(end) => return (end, false),
        };
        let (server, start) = match Box::pin(establish(context, socket, client, account, decided)).await {
            Ok(connected) => connected,
            Err(end) => return (end, false),
        };
        let relayed = relay(socket, &server, start, &mut account.traffic, client.meters()).await;
        drop(server);
        (relayed_end(&relayed, socket, account), relayed.1)
    }
}

/// Dials, and dials again where the router knows another way. Returns what the relay begins with.
async fn establish<R: Router, O: Observer>(
    context: &Context<R, O>,
    socket: &Socket,
    client: &mut Client,
    account: &mut Account,
    (mut verdict, mut received): (Verdict, Bytes),
) -> Result<(Socket, relay::Start), End> {
    let mut failures = 0;
    loop {
        let mut route = match verdict {
            Verdict::Connect(route) => route,
            Verdict::Close(words) => {
                Box::pin(send(context, socket, words.unwrap_or_default(), client, account)).await;
                return Err(if failures == 0 { End::Refused } else { End::ConnectFailed });
            }
            Verdict::Wait(_) => unreachable!("decide() waits, and after a failure there is no waiting"),
        };
        let to_client = match route.reply.take() {
            Some(reply) => {
                let len = reply.len();
                let rest = send_some(socket, reply).map_err(|_| End::ClientLeftFirst)?;
                account.traffic.to_client += (len - rest.len()) as u64;
                client.meters().add(Count::ToClient, (len - rest.len()) as u64);
                rest
            }
            None => Bytes::new(),
        };
        let substitute = route.data.take();
        let is_replay = substitute.is_none();
        let data = substitute.unwrap_or_else(|| mem::take(&mut received));
        let inactivity_timeout = route.inactivity_timeout;
        let header = introduction(&route, socket, client);
        let mut to_server = joined(&header, data);
        let len = to_server.len();
        let begun = Instant::now();
        let dialed = tokio::select! {
            biased;
            dialed = dial(&context.config, &*context.observer, client, account, &route, &mut to_server) => dialed.map_err(Some),
            () = reset(socket) => Err(None),
        };
        let now = Instant::now();
        let taken = now.saturating_duration_since(begun);
        account.dialed(taken);
        let rounds = match dialed {
            Ok((server, index)) => {
                account.connected(now);
                client.meters().took(Time::Connect, taken);
                let sent = (len - to_server.len()) as u64;
                account.traffic.to_server += sent;
                client.meters().add(Count::ToServer, sent);
                account.remote = Some(route.into_remote(index));
                let start = relay::Start {
                    to_server,
                    to_client,
                    inactivity_timeout,
                    half_closed_timeout: context.config.half_closed_timeout,
                    idle_timeout: context.config.idle_timeout,
                };
                return Ok((server, start));
            }
            Err(None) => return Err(End::ClientLeftFirst),
            Err(Some(rounds)) => rounds,
        };
        client.meters().count(Count::ConnectFailures);
        Box::pin(send(context, socket, to_client, client, account)).await;
        if socket.has_ended() {
            return Err(End::ClientLeftFirst);
        }
        context.observer.connect_failed(client, &route, rounds);
        verdict = Box::pin(next_route(context, client, &route, failures)).await?;
        failures += 1;
        if is_replay {
            // Nothing of it was sent, so it is the next backend's.
            to_server.advance(header.len());
            received = to_server;
        }
    }
}

/// What the router says when a route has failed: another one, or last words.
async fn next_route<R: Router, O: Observer>(
    context: &Context<R, O>,
    client: &Client,
    route: &Route,
    failures: u32,
) -> Result<Verdict, End> {
    let Some(question) = context.router.failed(client, Failure::Connect, route.to_string()) else {
        return Err(End::ConnectFailed);
    };
    match question.await {
        Some(Verdict::Connect(_)) if failures == MAX_REDIRECTS => {
            context.observer.redirected_too_often(client, MAX_REDIRECTS);
            Err(End::ConnectFailed)
        }
        None | Some(Verdict::Wait(_)) => Err(End::ConnectFailed),
        Some(verdict) => Ok(verdict),
    }
}

/// Sends the client some words, and counts them.
async fn send<R: Router, O: Observer>(
    context: &Context<R, O>,
    socket: &Socket,
    words: Bytes,
    client: &Client,
    account: &mut Account,
) {
    let before = account.to_client();
    send_all(socket, words, context.config.linger, &mut account.traffic).await;
    client.meters().add(Count::ToClient, account.to_client() - before);
}

/// A limit that ended a connection. The relay counts its own.
fn count_limit(meters: &Meters, end: &End) {
    match end {
        End::PrereadFull { .. } => meters.count(Count::LimitPreread),
        End::DecisionTimeout { .. } => meters.count(Count::LimitDecision),
        _ => {}
    }
}

/// What tells the backend who the client is, if the route wants that.
fn introduction(route: &Route, socket: &Socket, client: &Client) -> Bytes {
    match route.proxy_protocol {
        Some(version) => {
            proxy_protocol::header(version, client.address(), client.local().or_else(|| socket.local_addr()))
        }
        None => Bytes::new(),
    }
}

/// One piece of two, so that it can be sent by one write.
fn joined(header: &Bytes, data: Bytes) -> Bytes {
    if header.is_empty() {
        return data;
    }
    let mut both = BytesMut::with_capacity(header.len() + data.len());
    both.extend_from_slice(header);
    both.extend_from_slice(&data);
    both.freeze()
}

/// Sends what the client takes at once and returns the rest.
fn send_some(client: &Socket, mut data: Bytes) -> io::Result<Bytes> {
    while !data.is_empty() {
        match client.try_write(&data) {
            Ok(count) => data.advance(count),
            // A socket that was never waited for may not know that it is writable.
            Err(error) if is_would_block(&error) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(data)
}
