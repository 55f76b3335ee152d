//! The preread: what a client sends before the decision.

use std::future::{Future, poll_fn};
use std::io;
use std::task::{Poll, ready};

use bytes::{Bytes, BytesMut};

use crate::End;
use crate::net::parking::{Due, Place};
use crate::net::scratch;
use crate::net::stream::Stream;
use crate::tls::Transport;

/// Size of the first read. Undecided connections are many and their bytes few.
const PREREAD_CHUNK: usize = 16 * 1024;

/// Reads the client's next chunk and appends it to `received`. Not an `async fn`, which would hold its arguments twice.
pub(super) fn preread<'a>(
    transport: &'a Transport,
    received: &'a mut Bytes,
    limit: usize,
) -> impl Future<Output = Result<(), End>> + Send + use<'a> {
    let mut place = Place::default();
    poll_fn(move |cx| {
        let room = limit.saturating_sub(received.len());
        if room == 0 {
            return Poll::Ready(Err(End::PrereadFull { limit }));
        }
        // The chunk grows with the bytes received, so that a block that waits for many bytes is called rarely.
        let chunk = room.min(received.len().max(PREREAD_CHUNK));
        let polled = scratch::with(chunk, |scratch| {
            let read = ready!(transport.poll_read(cx, scratch))?;
            append(received, &scratch[..read.count]);
            Poll::Ready(io::Result::Ok(read.count))
        });
        match polled {
            Poll::Pending => {
                if let Some(Due::Quiet(key)) = place.wait(cx, false) {
                    transport.park(key);
                }
                Poll::Pending
            }
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Err(End::ClientLeft)),
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(())),
        }
    })
}

/// Appends in time proportional to `chunk`, not to `received`.
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
    fn chunks_are_appended_in_order_while_earlier_data_is_shared() {
        let mut received = Bytes::new();
        let mut kept = Vec::new();
        for chunk in ["one ", "two ", "three"] {
            append(&mut received, chunk.as_bytes());
            kept.push(received.clone());
        }
        assert_eq!(kept, ["one ", "one two ", "one two three"]);
    }

    #[test]
    fn appending_does_not_copy_what_was_received_before() {
        let mut received = Bytes::new();
        let mut moves = 0;
        for _ in 0..10_000 {
            let before = received.as_ptr();
            append(&mut received, &[0; 100]);
            moves += usize::from(received.as_ptr() != before);
        }
        assert_eq!(received.len(), 1_000_000);
        assert!(moves < 100, "received bytes were copied {moves} times");
    }
}
