//! What a relay needs of each of its two sides.

use std::future::{Future, pending};
use std::io;
use std::task::{Context, Poll};

use crate::Socket;

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// Bytes. None at all are the end.
    pub count: usize,
    /// Nothing follows them: the end has come along.
    pub is_last: bool,
}

/// One side of a relay.
pub trait Stream {
    /// Reads what is there.
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<Read>>;

    /// Writes what it takes, at least a byte. What `is_last` may wait for the end, which the caller makes follow
    /// at once, and travel with it.
    fn poll_write(&self, cx: &mut Context<'_>, data: &[u8], is_last: bool) -> Poll<io::Result<usize>>;

    /// Ends this side: the peer reads its end.
    fn shutdown(&self) -> io::Result<()>;

    /// Resolves when the peer has reset the connection. Its FIN is no departure: it may be waiting
    /// for a reply.
    fn reset(&self) -> impl Future<Output = ()> + Send {
        pending()
    }

    /// The socket, if it is one: only sockets can be spliced.
    fn socket(&self) -> Option<&Socket> {
        None
    }
}
