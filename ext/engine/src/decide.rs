//! What happens before it is clear where a client goes: read, ask, read more.

use std::future::{Future, poll_fn};
use std::io;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::time::{sleep_until, timeout};

use crate::account::Account;
use crate::farewell::send_all;
use crate::meters::Count;
use crate::proxy_protocol::{Parsed, Refusal, parse};
use crate::server::Context;
use crate::stream::Stream;
use crate::{Answer, Client, End, Observer, Router, Socket, Verdict, scratch};

/// The least that is read at once before the decision: undecided connections are many and their
/// bytes few.
const PREREAD_CHUNK: usize = 16 * 1024;

/// One client that is not decided yet.
struct Undecided<'a, R: Router, O: Observer> {
    context: &'a Context<R, O>,
    socket: &'a Socket,
    client: &'a mut Client,
    account: &'a mut Account,
    received: Bytes,
    /// No PROXY header is to come (any more), so what was received is the client's.
    is_introduced: bool,
}

/// Reads and asks until the router has decided. Returns that, and what was received until then.
///
/// Clients that have sent nothing leave with the beginning of a drain, the others are decided soon
/// after it or not at all.
pub(crate) async fn decide<R: Router, O: Observer>(
    context: &Context<R, O>,
    socket: &Socket,
    client: &mut Client,
    account: &mut Account,
) -> Result<(Verdict, Bytes), End> {
    let is_introduced = !client.endpoint.expects_header();
    let mut undecided = Undecided { context, socket, client, account, received: Bytes::new(), is_introduced };
    let verdict = match context.config.decision_timeout {
        None => undecided.decide().await?,
        Some(limit) => Box::pin(undecided.decide_within(limit)).await?,
    };
    undecided.account.decided(undecided.client.age());
    Ok((verdict, undecided.received))
}

impl<R: Router, O: Observer> Undecided<'_, R, O> {
    async fn decide(&mut self) -> Result<Verdict, End> {
        if !self.is_introduced {
            Box::pin(self.receive_header()).await?;
            self.is_introduced = true;
        }
        if self.context.router.wants_local() {
            self.client.known.get_or_insert_default().local = self.socket.local_addr();
        }
        let early = match self.context.router.accepted(self.client) {
            Some(question) => {
                Some(Box::pin(verdict(self.context, self.socket, self.account, question)).await?)
            }
            None => None,
        };
        if let Some(verdict) = early {
            match verdict {
                Verdict::Wait(words) => Box::pin(self.send(words)).await?,
                verdict => return Ok(verdict),
            }
        }
        if self.received.is_empty() {
            self.hear().await?;
        }
        self.ask().await
    }

    /// The same, for as long as the time is not over.
    async fn decide_within(&mut self, limit: Duration) -> Result<Verdict, End> {
        match timeout(limit, self.decide()).await {
            Ok(decided) => decided,
            Err(_) => self.overdue(limit).await,
        }
    }

    /// Waits for what the client sends next, unless a drain has no more time for it.
    async fn hear(&mut self) -> Result<(), End> {
        let context = self.context;
        let is_silent = self.received.is_empty();
        let leave = async {
            if is_silent {
                silent_drained(context).await;
            } else {
                drained(context).await;
            }
        };
        tokio::select! {
            biased;
            read = preread(self.socket, &mut self.received, context.config.max_preread) => read,
            () = leave => Err(End::Undecided),
        }
    }

    /// Asks about what has come, and about what comes.
    async fn ask(&mut self) -> Result<Verdict, End> {
        let context = self.context;
        let asking = async {
            loop {
                let question = context.router.route(self.client, self.received.clone());
                let answer = answered(self.socket, question).await?;
                self.account.answered(answer.in_block);
                match answer.verdict {
                    Verdict::Wait(None) => {}
                    Verdict::Wait(words) => Box::pin(self.send(words)).await?,
                    verdict => return Ok(verdict),
                }
                preread(self.socket, &mut self.received, context.config.max_preread).await?;
            }
        };
        tokio::select! {
            biased;
            decided = asking => decided,
            () = drained(context) => Err(End::Undecided),
        }
    }

    /// The time is over: the router may have a last word, unless it is not even known who the client is.
    async fn overdue(&mut self, limit: Duration) -> Result<Verdict, End> {
        if !self.is_introduced {
            return Err(End::DecisionTimeout { limit });
        }
        loop {
            let Some(question) = self.context.router.timed_out(self.client, self.received.clone()) else {
                return Err(End::DecisionTimeout { limit });
            };
            match verdict(self.context, self.socket, self.account, question).await? {
                Verdict::Wait(words) => self.send(words).await?,
                verdict => return Ok(verdict),
            }
            let again = async {
                self.hear().await?;
                self.ask().await
            };
            if let Ok(decided) = timeout(limit, again).await {
                return decided;
            }
        }
    }

    async fn send(&mut self, words: Option<Bytes>) -> Result<(), End> {
        let words = words.unwrap_or_default();
        let traffic = &mut self.account.traffic;
        let before = traffic.to_client;
        let sent = send_all(self.socket, words, self.context.config.linger, traffic).await;
        self.client.meters().add(Count::ToClient, self.account.to_client() - before);
        if sent { Ok(()) } else { Err(End::ClientLeft) }
    }

    /// Takes the PROXY header of a load balancer that is trusted. Others must not send one.
    async fn receive_header(&mut self) -> Result<(), End> {
        let trusted = self.client.endpoint.trusts(self.client.peer);
        loop {
            tokio::select! {
                biased;
                read = preread(self.socket, &mut self.received, self.context.config.max_preread) => read?,
                () = silent_drained(self.context) => return Err(End::Undecided),
            }
            match (parse(&self.received), trusted) {
                (Parsed::Header { header, len }, true) => {
                    self.received.advance(len);
                    self.client.known.get_or_insert_default().header = Some(header);
                    return Ok(());
                }
                (Parsed::Header { .. }, false) => return Err(End::BadHeader { reason: Refusal::Untrusted }),
                (Parsed::Refused(reason), true) => return Err(End::BadHeader { reason }),
                (Parsed::Refused(_), false) => return Ok(()),
                (Parsed::Incomplete, _) => {}
            }
        }
    }
}

/// Resolves when undecided clients have no more time.
async fn drained<R: Router, O: Observer>(context: &Context<R, O>) {
    let since = context.shutdown.begun().await;
    Box::pin(sleep_until(since + context.config.undecided_drain)).await;
}

/// Resolves when clients that have sent nothing have no more time: at once, unless it all goes on elsewhere.
async fn silent_drained<R: Router, O: Observer>(context: &Context<R, O>) {
    context.shutdown.begun().await;
    if context.shutdown.is_succeeded() {
        drained(context).await;
    }
}

/// Awaits an answer, unless the client leaves or a drain has no more time for it.
async fn verdict<R: Router, O: Observer>(
    context: &Context<R, O>,
    socket: &Socket,
    account: &mut Account,
    question: impl Future<Output = Answer>,
) -> Result<Verdict, End> {
    let answer = tokio::select! {
        biased;
        answer = answered(socket, question) => answer?,
        () = drained(context) => return Err(End::Undecided),
    };
    account.answered(answer.in_block);
    Ok(answer.verdict)
}

/// Awaits an answer, unless the client leaves.
async fn answered<T>(socket: &Socket, question: impl Future<Output = T>) -> Result<T, End> {
    tokio::select! {
        biased;
        answer = question => Ok(answer),
        () = reset(socket) => Err(End::ClientLeft),
    }
}

/// Resolves when the client was reset. As long as nothing at all comes from it, that is cheap to wait for.
pub(crate) async fn reset(socket: &Socket) {
    let _ = poll_fn(|cx| socket.poll_read_ready(cx)).await;
    Box::pin(socket.reset()).await;
}

/// Appends the client's next chunk to `received`.
async fn preread(socket: &Socket, received: &mut Bytes, limit: usize) -> Result<(), End> {
    let room = limit.saturating_sub(received.len());
    if room == 0 {
        return Err(End::PrereadFull { limit });
    }
    // Growing with what is there, so that a block that waits for much is not asked for each bit of it.
    let chunk = room.min(received.len().max(PREREAD_CHUNK));
    let read = poll_fn(|cx| {
        scratch::with(chunk, |scratch| {
            let read = ready!(socket.poll_read(cx, scratch))?;
            append(received, &scratch[..read.count]);
            Poll::Ready(io::Result::Ok(read.count))
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
