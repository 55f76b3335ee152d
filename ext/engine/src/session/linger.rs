//! The lingering close: a connection is closed without losing the bytes that were sent last.
//!
//! If a socket is closed with unread bytes in it, or receives bytes afterwards, the kernel answers with a
//! reset, and the reset discards what the peer has not received yet (RFC 9112, section 9.6). So the engine
//! ends its side and reads on for a while before it closes.

use std::future::poll_fn;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::net::scratch;
use crate::net::socket::Socket;
use crate::net::stream::Stream;
use crate::net::sys::unacked_bytes;
use crate::tls::Transport;

/// Upper limit of a lingering close, however slowly the client takes its bytes.
const MAX_LINGER: Duration = Duration::from_secs(60);

/// Returns the number of unacknowledged bytes if closing now could cost the client something: if it has not
/// received everything or still sends.
pub(crate) fn may_lose_data(client: &Socket) -> Option<usize> {
    let pending = unacked_bytes(client);
    (pending > 0 || client.is_readable()).then_some(pending)
}

/// Ends our side and discards what the client sends, until the client has ended its side or has acknowledged
/// none of the `pending` bytes for `linger_timeout`.
pub(crate) async fn linger(client: &Socket, mut pending: usize, linger_timeout: Duration) {
    // TCP counts our FIN, too.
    pending += usize::from(cfg!(target_os = "linux") && client.is_tcp());
    if client.shutdown().is_err() {
        return;
    }
    let end = Instant::now() + MAX_LINGER;
    while timeout(linger_timeout, discard_all(client)).await.is_err() {
        let rest = unacked_bytes(client);
        if rest == 0 || rest >= pending || Instant::now() >= end {
            return;
        }
        pending = rest;
    }
}

/// Ends our side of an encrypted connection with a close_notify, unless the client takes nothing for `limit`.
pub(crate) async fn end_encrypted(client: &Transport, limit: Duration) {
    let _ = timeout(limit, poll_fn(|cx| client.poll_flush(cx, true))).await;
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

    const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

    /// A socket whose send buffer is full because its client does not read.
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
    async fn lingering_lasts_while_the_client_acknowledges_bytes() {
        let (socket, mut client) = full().await;
        let lingering = tokio::spawn({
            let socket = Arc::clone(&socket);
            async move { linger(&socket, unacked_bytes(&socket), LINGER_TIMEOUT).await }
        });
        yield_now().await;
        for _ in 0..5 {
            let before = unacked_bytes(&socket);
            while unacked_bytes(&socket) >= before {
                assert!(client.read(&mut [0; 4096]).unwrap() > 0);
            }
            client.write_all(b"still here").unwrap();
            advance(LINGER_TIMEOUT).await;
            yield_now().await;
            assert!(!lingering.is_finished());
        }
        lingering.await.unwrap(); // The client reads nothing any more.
        assert!(unacked_bytes(&socket) > 0);
    }
}
