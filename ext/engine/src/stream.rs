//! What a relay needs of each of its two sides.

use std::future::{Future, pending};
use std::io;
use std::task::{Context, Poll};

use crate::Socket;

/// One side of a relay.
pub trait Stream {
    /// Reads what is there; 0 is the end.
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes what it takes, at least a byte.
    fn poll_write(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>>;

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
