//! The interface of one side of a relay.
//!
//! This file and `socket.rs` import each other: only a [`Socket`] can be spliced, so a [`Stream`] gives access to it.

use std::future::{Future, pending};
use std::io;
use std::task::{Context, Poll};

use super::keepalive::Keepalive;
use super::parking::Key;
use crate::Socket;

/// The result of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// Number of bytes read; 0 is the end.
    pub count: usize,
    /// Whether these bytes are the last: the end has come with them.
    pub is_last: bool,
}

/// One side of a relay.
pub trait Stream {
    /// Reads the bytes that are there.
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<Read>>;

    /// Writes at least one byte. If `is_last`, the bytes may wait for the end, which the caller sends at once, and
    /// share its packet.
    fn poll_write(&self, cx: &mut Context<'_>, data: &[u8], is_last: bool) -> Poll<io::Result<usize>>;

    /// Sends what [`poll_write`](Self::poll_write) has taken and not sent yet. If `is_last`, also what precedes the end.
    fn poll_flush(&self, _cx: &mut Context<'_>, _is_last: bool) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Tells whether [`poll_flush`](Self::poll_flush) has something to send.
    fn has_unsent(&self) -> bool {
        false
    }

    /// Ends this side; the peer reads the end of the stream.
    fn shutdown(&self) -> io::Result<()>;

    /// Resolves when the peer has reset the connection. A FIN does not count, since its sender may wait for a reply.
    fn wait_for_reset(&self) -> impl Future<Output = ()> + Send {
        pending()
    }

    /// Returns the socket, if the stream is one: only sockets can be spliced.
    fn socket(&self) -> Option<&Socket> {
        None
    }

    /// Sets the options for vanished peers.
    fn keep_alive(&self, _keepalive: Keepalive) {}

    /// Parks the socket below, since the connection is quiet.
    fn park(&self, _key: Key) {}
}
