//! One client, from accept to close.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::net::TcpStream;
use tokio::time::sleep_until;

use crate::dial::dial;
use crate::farewell::{close, linger, send_all};
use crate::relay::{self, Outcome, relay};
use crate::server::{Admission, Context};
use crate::stream::{Stream, has_ended, is_would_block};
use crate::{End, Observer, Remote, Router, Verdict, scratch};

/// The least that is read at once before the decision: undecided connections are many and their
/// bytes few.
const PREREAD_CHUNK: usize = 16 * 1024;

/// What the relay needs, once everything is decided and connected.
struct Joined {
    server: TcpStream,
    remote: Remote,
    start: relay::Start,
}

impl Joined {
    /// Taken apart by a function: an `async fn` would keep what it has moved out of.
    #[expect(clippy::boxed_local)]
    fn into_parts(self: Box<Self>) -> (TcpStream, Remote, relay::Start) {
        (self.server, self.remote, self.start)
    }
}

/// Serves one client to its end.
///
/// What waits is small: the long steps are boxed, so that a relaying connection does not carry the
/// room that deciding and dialing took. (An `async fn` would hold its arguments twice.)
#[expect(clippy::manual_async_fn)]
pub(crate) fn run<R: Router, O: Observer>(
    client: TcpStream,
    admission: Admission<R, O>,
) -> impl Future<Output = ()> + Send {
    async move {
        let context = admission.context();
        let served = guarded(Box::pin(serve(context, &client, admission.client()))).await;
        let (end, heard_all) = served.unwrap_or((End::Failed, false));
        context.observer.ended(admission.client(), end).await;
        if !heard_all {
            linger(&client, context.config.linger).await;
        }
        close(client);
        admission.end();
    }
}

/// A panic, which would be a defect, ends its own connection like any other reason: None.
async fn guarded<F: Future + Unpin>(mut step: F) -> Option<F::Output> {
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut step).poll(cx))) {
        Ok(polled) => polled.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

/// Why it ended, and whether all that the client sent was read, to its end.
async fn serve<R: Router, O: Observer>(
    context: &Context<R, O>,
    client: &TcpStream,
    address: &SocketAddr,
) -> (End, bool) {
    let (server, remote, start) = match Box::pin(establish(context, client, address)).await {
        Ok(joined) => joined.into_parts(),
        Err(end) => return (end, false),
    };
    let (outcome, client_ended) = relay(client, &server, start).await;
    close(server);
    let end = match outcome {
        Outcome::Finished => End::Relayed,
        Outcome::Abandoned => End::ClientLeftFirst,
        _ if client_ended || has_ended(client) => End::ClientLeftFirst,
        Outcome::Unanswered => End::ClosedPrematurely { remote },
        Outcome::Inactive { elapsed, limit } => End::Inactive { remote, elapsed, limit },
    };
    (end, client_ended)
}

async fn establish<R: Router, O: Observer>(
    context: &Context<R, O>,
    client: &TcpStream,
    address: &SocketAddr,
) -> Result<Box<Joined>, End> {
    let (verdict, received) = decide(context, client, address).await?;
    let mut route = match verdict {
        Verdict::Connect(route) => route,
        Verdict::Close(words) => {
            Box::pin(send_all(client, words.unwrap_or_default(), context.config.linger)).await;
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
        Some(server) => {
            let start = relay::Start {
                to_server,
                to_client,
                inactivity_timeout: route.inactivity_timeout,
                half_closed_timeout: Some(context.config.half_closed_timeout),
            };
            Ok(Box::new(Joined { server, remote: route.remote, start }))
        }
        None => {
            Box::pin(send_all(client, to_client, context.config.linger)).await;
            Err(match has_ended(client) {
                true => End::ClientLeftFirst,
                false => End::ConnectFailed { remote: route.remote },
            })
        }
    }
}

/// Reads and asks until the router has decided. Clients that have sent nothing leave with the
/// beginning of a drain, the others are decided soon after it or not at all.
async fn decide<R: Router, O: Observer>(
    context: &Context<R, O>,
    client: &TcpStream,
    address: &SocketAddr,
) -> Result<(Verdict, Bytes), End> {
    let mut received = Bytes::new();
    tokio::select! {
        biased;
        read = preread(client, &mut received, context.config.max_preread) => read?,
        _ = context.shutdown.begun() => return Err(End::Undecided),
    }
    let asking = async {
        loop {
            let verdict = tokio::select! {
                biased;
                verdict = context.router.route(address, received.clone()) => verdict,
                () = reset(client) => return Err(End::ClientLeft),
            };
            match verdict {
                Verdict::Wait => preread(client, &mut received, context.config.max_preread).await?,
                verdict => return Ok((verdict, received)),
            }
        }
    };
    let drained = async {
        let since = context.shutdown.begun().await;
        Box::pin(sleep_until(since + context.config.undecided_drain)).await;
    };
    tokio::select! {
        biased;
        decided = asking => decided,
        () = drained => Err(End::Undecided),
    }
}

/// Appends the client's next chunk to `received`.
async fn preread(client: &TcpStream, received: &mut Bytes, limit: usize) -> Result<(), End> {
    let room = limit.saturating_sub(received.len());
    if room == 0 {
        return Err(End::PrereadFull { limit });
    }
    // Growing with what is there, so that a block that waits for much is not asked for each bit of it.
    let chunk = room.min(received.len().max(PREREAD_CHUNK));
    let read = poll_fn(|cx| {
        scratch::with(chunk, |scratch| {
            let count = ready!(client.poll_read(cx, scratch))?;
            append(received, &scratch[..count]);
            Poll::Ready(io::Result::Ok(count))
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

/// Resolves when the client was reset. Boxed when it is first polled, which it mostly is not.
async fn reset(client: &TcpStream) {
    Box::pin(client.reset()).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_appended_in_order_whoever_keeps_what_was_received_before() {
        let mut received = Bytes::new();
        let mut kept = Vec::new();
        for chunk in ["one ", "two ", "three"] {
            append(&mut received, chunk.as_bytes());
            kept.push(received.clone());
        }
        assert_eq!(kept, ["one ", "one two ", "one two three"]);
    }

    #[test]
    fn a_chunk_costs_what_it_is_long_and_not_what_was_received_before() {
        let mut received = Bytes::new();
        let mut moves = 0;
        for _ in 0..10_000 {
            let before = received.as_ptr();
            append(&mut received, &[0; 100]);
            moves += usize::from(received.as_ptr() != before);
        }
        assert_eq!(received.len(), 1_000_000);
        assert!(moves < 100, "what was received was copied {moves} times");
    }
}
