//! How a connection is closed without losing what was sent last.
//!
//! When a socket is closed with unread bytes in it, or gets more of them afterwards, the kernel
//! answers with a reset, and a reset throws away what the peer has not received yet (RFC 9112,
//! section 9.6). So a client that is still sending is listened to for a while.

use std::future::poll_fn;
use std::task::Context;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::time::{Instant, timeout};

use crate::account::Traffic;
use crate::scratch;
use crate::socket::Socket;
use crate::stream::Stream;
use crate::system::unsent;

/// Sends words to the client, all of them unless it stops reading for `patience`; then it is false.
pub(crate) async fn send_all(
    client: &Socket,
    mut words: Bytes,
    patience: Duration,
    traffic: &mut Traffic,
) -> bool {
    while !words.is_empty() {
        match timeout(patience, poll_fn(|cx| client.poll_write(cx, &words, false))).await {
            Ok(Ok(count)) => {
                words.advance(count);
                traffic.to_client += count as u64;
            }
            _ => return false,
        }
    }
    true
}

/// Whether closing now could cost the client something: it has not received everything, of which so many bytes are
/// left, or is still sending.
pub(crate) fn may_lose_words(client: &Socket) -> Option<usize> {
    let pending = unsent(client);
    (pending > 0 || client.is_readable()).then_some(pending)
}

/// The longest that a client which goes on sending is listened to, however slowly it takes what it was sent.
const LONGEST: Duration = Duration::from_secs(60);

/// Ends our side and discards what comes, until the client has ended its side, or has taken nothing of what is
/// `pending` for as long as `patience`.
pub(crate) async fn linger(client: &Socket, mut pending: usize, patience: Duration) {
    // TCP counts our end, too.
    pending += usize::from(cfg!(target_os = "linux") && client.is_tcp());
    if client.shutdown().is_err() {
        return;
    }
    let end = Instant::now() + LONGEST;
    while timeout(patience, discard_all(client)).await.is_err() {
        let rest = unsent(client);
        if rest == 0 || rest >= pending || Instant::now() >= end {
            return;
        }
        pending = rest;
    }
}

async fn discard_all(client: &Socket) {
    let read = |cx: &mut Context<'_>| scratch::with(scratch::SIZE, |scratch| client.poll_read(cx, scratch));
    while poll_fn(read).await.is_ok_and(|read| !read.is_last) {}
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;

    use tokio::task::yield_now;
    use tokio::time::advance;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(2);

    /// Full of what its client has not taken.
    async fn full() -> (Arc<Socket>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let socket = Socket::new(stream, true).unwrap();
        socket.writable().await.unwrap();
        while socket.try_write(&[b'x'; 64 * 1024]).is_ok() {}
        (Arc::new(socket), client)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_goes_on_sending_is_waited_for_as_long_as_it_takes_what_it_was_sent() {
        let (socket, mut client) = full().await;
        let lingering = tokio::spawn({
            let socket = Arc::clone(&socket);
            async move { linger(&socket, unsent(&socket), PATIENCE).await }
        });
        yield_now().await;
        for _ in 0..5 {
            let before = unsent(&socket);
            while unsent(&socket) >= before {
                assert!(client.read(&mut [0; 4096]).unwrap() > 0);
            }
            client.write_all(b"still here").unwrap();
            advance(PATIENCE).await;
            yield_now().await;
            assert!(!lingering.is_finished());
        }
        lingering.await.unwrap(); // It takes nothing any more.
        assert!(unsent(&socket) > 0);
    }
}
