//! How a connection is closed without losing what was sent last.
//!
//! When a socket is closed with unread bytes in it, or gets more of them afterwards, the kernel
//! answers with a reset, and a reset throws away what the peer has not received yet (RFC 9112,
//! section 9.6). So a client that is still sending is listened to for a while.

use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::{Buf, Bytes};
use socket2::SockRef;
use tokio::time::timeout;

use crate::account::Traffic;
use crate::scratch;
use crate::socket::{Socket, is_would_block};
use crate::stream::Stream;
use crate::system::unsent;

/// Whether a forked child of this process may hold copies of our sockets.
static FORKED: AtomicBool = AtomicBool::new(false);

/// To be called when the process forks: from then on connections are ended with shutdown(2) before
/// they are closed, since a copy in a child that does not exec would keep them open.
pub fn process_forked() {
    FORKED.store(true, Relaxed);
}

/// Closes a socket, for all who hold it.
pub(crate) fn close(stream: Socket) {
    if FORKED.load(Relaxed) {
        let _ = SockRef::from(&stream).shutdown(Shutdown::Both);
    }
}

/// Sends words to the client, all of them unless it stops reading for `patience`; then it is false.
pub(crate) async fn send_all(
    client: &Socket,
    mut words: Bytes,
    patience: Duration,
    traffic: &mut Traffic,
) -> bool {
    while !words.is_empty() {
        match timeout(patience, std::future::poll_fn(|cx| client.poll_write(cx, &words))).await {
            Ok(Ok(count)) => {
                words.advance(count);
                traffic.to_client += count as u64;
            }
            _ => return false,
        }
    }
    true
}

/// Whether closing now could cost the client something: it has not received everything, or is still sending.
pub(crate) fn may_lose_words(client: &Socket) -> bool {
    client.is_readable() || unsent(client) > 0
}

/// Ends our side and discards what comes, until the client has ended its side or `patience` is over.
pub(crate) async fn linger(client: &Socket, patience: Duration) {
    if client.shutdown().is_err() {
        return;
    }
    let discard_all = async {
        while client.readable().await.is_ok() {
            match scratch::with(scratch::SIZE, |scratch| client.try_read(scratch)) {
                Ok(1..) => {}
                Err(error) if is_would_block(&error) => {}
                _ => return,
            }
        }
    };
    let _ = timeout(patience, discard_all).await;
}
