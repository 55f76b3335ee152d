//! What is done to the sockets of a connection, all by shared reference: a relay reads and writes
//! both ways at once, and watches for resets beside it.

use std::future::{Future, pending};
use std::io;
use std::net::Shutdown;
use std::task::{Context, Poll, Waker, ready};

use socket2::SockRef;
use tokio::io::{Interest, Ready};
use tokio::net::TcpStream;

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
    fn socket(&self) -> Option<&TcpStream> {
        None
    }
}

impl Stream for TcpStream {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let count = ready!(poll_until_done(|| self.poll_read_ready(cx), || self.try_read(buffer)))?;
        if 0 < count && count < buffer.len() {
            exhausted(self, Interest::READABLE);
        }
        Poll::Ready(Ok(count))
    }

    fn poll_write(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(poll_until_done(|| self.poll_write_ready(cx), || self.try_write(data)))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        if count < data.len() {
            exhausted(self, Interest::WRITABLE);
        }
        Poll::Ready(Ok(count))
    }

    fn shutdown(&self) -> io::Result<()> {
        SockRef::from(self).shutdown(Shutdown::Write)
    }

    async fn reset(&self) {
        loop {
            match self.ready(Interest::ERROR).await {
                Ok(ready) if !ready.is_error() => {}
                _ => return,
            }
        }
    }

    fn socket(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

/// Tries an operation on a socket whenever it is ready for it, until it does not say that it would block.
pub(crate) fn poll_until_done<T>(
    mut poll_ready: impl FnMut() -> Poll<io::Result<()>>,
    mut operation: impl FnMut() -> io::Result<T>,
) -> Poll<io::Result<T>> {
    loop {
        ready!(poll_ready())?;
        match operation() {
            Err(error) if is_would_block(&error) => {}
            done => return Poll::Ready(done),
        }
    }
}

/// Less was moved than asked for, so nothing more can be until epoll says so (epoll(7), "Do I need to
/// continuously read/write a file descriptor until EAGAIN"). Spares the call that would tell.
fn exhausted(stream: &TcpStream, interest: Interest) {
    if cfg!(target_os = "linux") {
        let _ = stream.try_io(interest, || io::Result::<()>::Err(io::ErrorKind::WouldBlock.into()));
    }
}

/// Whether the peer is known to have sent something, or its end.
pub(crate) fn is_readable(stream: &TcpStream) -> bool {
    readiness(stream).is_some()
}

/// Whether the peer is known to have ended its side, without reading what it sent before.
pub(crate) fn has_ended(stream: &TcpStream) -> bool {
    readiness(stream).is_some_and(Ready::is_read_closed)
}

/// What is known about reading, without asking the kernel.
fn readiness(stream: &TcpStream) -> Option<Ready> {
    let mut ready = std::pin::pin!(stream.ready(Interest::READABLE));
    match ready.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(ready)) => Some(ready),
        Poll::Ready(Err(_)) => Some(Ready::READ_CLOSED),
        Poll::Pending => None,
    }
}

pub(crate) fn is_would_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}
