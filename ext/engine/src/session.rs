//! One client, from accept to close.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWriteExt, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;
use tokio::time::{sleep_until, timeout};

use crate::dial::dial;
use crate::relay::{self, Outcome, relay};
use crate::server::{Admission, Context};
use crate::{End, Observer, Route, Router, Verdict, scratch};

/// Undecided connections are many and their bytes few.
const PREREAD_CHUNK: usize = 16 * 1024;

/// What the relay needs, once everything is decided and connected.
struct Joined {
    server: TcpStream,
    route: Box<Route>,
    to_server: Bytes,
    to_client: Bytes,
}

/// Serves one client to its end.
pub(crate) async fn run<R: Router, O: Observer>(
    context: Arc<Context<R, O>>,
    mut client: TcpStream,
    address: SocketAddr,
    admission: Admission<R, O>,
) {
    // Boxed, so that a relaying connection does not carry the room that deciding and dialing took.
    let end = match Box::pin(establish(&context, &mut client, &address)).await {
        Ok(joined) => relay_to_end(&context, &mut client, joined).await,
        Err(end) => end,
    };
    context.observer.ended(&address, end).await;
    drop(client);
    let left = admission.end();
    context.observer.closed(left);
}

async fn establish<R: Router, O: Observer>(
    context: &Context<R, O>,
    client: &mut TcpStream,
    address: &SocketAddr,
) -> Result<Joined, End> {
    let (verdict, received) = decide(context, client, address).await?;
    let mut route = match verdict {
        Verdict::Connect(route) => route,
        Verdict::Close(words) => {
            farewell(client, words.unwrap_or_default(), context.config.linger).await;
            return Err(End::Refused);
        }
        Verdict::Wait => unreachable!("decide() waits"),
    };
    let to_client = match route.reply.take() {
        Some(reply) => send_some(client, reply).map_err(|_| End::ClientLeftFirst)?,
        None => Bytes::new(),
    };
    let mut to_server = route.data.take().unwrap_or(received);
    let dialed = tokio::select! {
        biased;
        dialed = dial(&context.config, &context.observer, &route, &mut to_server) => dialed,
        () = reset(client) => return Err(End::ClientLeftFirst),
    };
    match dialed {
        Some(server) => Ok(Joined { server, route, to_server, to_client }),
        None if has_ended(client) => Err(End::ClientLeftFirst),
        None => Err(End::ConnectFailed { remote: route.remote }),
    }
}

/// Reads and asks until the router has decided. Clients that have sent nothing leave with the
/// beginning of a drain, the others are decided soon after it or not at all.
async fn decide<R: Router, O: Observer>(
    context: &Context<R, O>,
    client: &mut TcpStream,
    address: &SocketAddr,
) -> Result<(Verdict, Bytes), End> {
    let mut received = Bytes::new();
    let (mut reader, writer) = client.split();
    tokio::select! {
        biased;
        read = preread(&mut reader, &mut received, context.config.max_preread) => read?,
        _ = context.shutdown.begun() => return Err(End::Undecided),
    }
    let asking = async {
        loop {
            match context.router.route(address, received.clone()).await {
                Verdict::Wait => preread(&mut reader, &mut received, context.config.max_preread).await?,
                verdict => return Ok((verdict, received)),
            }
        }
    };
    let drained = async {
        let since = context.shutdown.begun().await;
        sleep_until(since + context.config.undecided_drain).await;
    };
    tokio::select! {
        biased;
        decided = asking => decided,
        () = drained => Err(End::Undecided),
        () = reset(writer.as_ref()) => Err(End::ClientLeft),
    }
}

/// Appends the client's next chunk to `received`.
async fn preread(client: &mut ReadHalf<'_>, received: &mut Bytes, limit: usize) -> Result<(), End> {
    let room = limit.saturating_sub(received.len());
    if room == 0 {
        return Err(End::PrereadFull { limit });
    }
    let read = poll_fn(|cx| {
        scratch::with(room.min(PREREAD_CHUNK), |scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut *client).poll_read(cx, &mut buffer))?;
            append(received, buffer.filled());
            Poll::Ready(io::Result::Ok(buffer.filled().len()))
        })
    });
    match read.await {
        Ok(0) | Err(_) => Err(End::ClientLeft),
        Ok(_) => Ok(()),
    }
}

/// Costs what `chunk` is long, not what was received before.
fn append(received: &mut Bytes, chunk: &[u8]) {
    if received.is_empty() {
        *received = Bytes::copy_from_slice(chunk);
        return;
    }
    let mut buffer = match std::mem::take(received).try_into_mut() {
        Ok(buffer) => buffer,
        Err(shared) => BytesMut::from(shared),
    };
    buffer.extend_from_slice(chunk);
    *received = buffer.freeze();
}

async fn relay_to_end<R: Router, O: Observer>(
    context: &Context<R, O>,
    client: &mut TcpStream,
    joined: Joined,
) -> End {
    let Joined { mut server, route, to_server, to_client } = joined;
    let start = relay::Start {
        to_server,
        to_client,
        inactivity_timeout: route.inactivity_timeout,
        half_closed_timeout: Some(context.config.half_closed_timeout),
    };
    let (outcome, client_ended) = relay(client, &mut server, start).await;
    drop(server);
    match outcome {
        Outcome::Finished => {
            linger(client, context.config.linger).await;
            End::Relayed
        }
        Outcome::Abandoned => End::ClientLeftFirst,
        _ if client_ended || has_ended(client) => End::ClientLeftFirst,
        Outcome::Unanswered => End::ClosedPrematurely { remote: route.remote },
        Outcome::Inactive { elapsed, limit } => End::Inactive { remote: route.remote, elapsed, limit },
    }
}

/// Sends what the client takes at once and returns the rest.
fn send_some(client: &TcpStream, mut data: Bytes) -> io::Result<Bytes> {
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

/// Sends last words, all of them unless the client stops reading for `patience`.
async fn farewell(client: &mut TcpStream, mut words: Bytes, patience: Duration) {
    while !words.is_empty() {
        match timeout(patience, client.write_buf(&mut words)).await {
            Ok(Ok(count)) if count > 0 => {}
            _ => return,
        }
    }
    linger(client, patience).await;
}

/// Waits for a client that is still sending. Closing a socket with unread bytes in it resets the
/// connection, and a reset can overtake what was sent before it (RFC 9112, section 9.6).
async fn linger(client: &mut TcpStream, patience: Duration) {
    let discard = |client: &TcpStream| scratch::with(scratch::SIZE, |scratch| client.try_read(scratch));
    if !matches!(discard(client), Ok(1..)) || client.shutdown().await.is_err() {
        return;
    }
    let discard_all = async {
        while client.readable().await.is_ok() {
            match discard(client) {
                Ok(1..) => {}
                Err(error) if is_would_block(&error) => {}
                _ => return,
            }
        }
    };
    let _ = timeout(patience, discard_all).await;
}

/// Resolves when the client was reset. Its FIN is no departure: it may be waiting for its reply.
async fn reset(client: &TcpStream) {
    loop {
        match client.ready(Interest::ERROR).await {
            Ok(ready) if !ready.is_error() => {}
            _ => return,
        }
    }
}

/// Whether the client is known to have ended its side, without reading what it sent before.
fn has_ended(client: &TcpStream) -> bool {
    let mut ready = std::pin::pin!(client.ready(Interest::READABLE));
    match ready.as_mut().poll(&mut Task::from_waker(Waker::noop())) {
        Poll::Ready(Ok(ready)) => ready.is_read_closed(),
        Poll::Ready(Err(_)) => true,
        Poll::Pending => false,
    }
}

fn is_would_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}
