//! A connected socket, TCP or Unix, registered with this thread's runtime.
//!
//! All of it works by shared reference: a relay reads and writes both ways at once, and watches for
//! resets beside it.

use std::future::Future;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Waker, ready};

use rustix::io::ioctl_fionread;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use socket2::{SockRef, Socket as Unregistered};
use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, Ready};

use crate::stream::{Read, Stream};
use crate::system::register;

/// Writing to a connection that the peer has reset is an error, not a signal.
#[cfg(not(target_vendor = "apple"))]
const SEND: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
const SEND: SendFlags = SendFlags::empty();

/// What waits for more, or for the end (send(2), tcp(7)), where the system has such a thing.
#[cfg(target_os = "linux")]
const MORE: SendFlags = SendFlags::MORE;
#[cfg(not(target_os = "linux"))]
const MORE: SendFlags = SendFlags::empty();

/// What tells of urgent data (tcp(7)), where the system does.
#[cfg(target_os = "linux")]
const URGENT: Interest = Interest::PRIORITY;
#[cfg(not(target_os = "linux"))]
const URGENT: Interest = Interest::READABLE;

/// Whether a forked child of this process may hold copies of our sockets.
static FORKED: AtomicBool = AtomicBool::new(false);

/// To be called when the process forks: from then on connections are ended with shutdown(2) before
/// they are closed, since a copy in a child that does not exec would keep them open.
pub fn process_forked() {
    FORKED.store(true, Relaxed);
}

/// A socket that never blocks. Dropping it closes the connection, for all who hold it.
#[derive(Debug)]
pub struct Socket {
    io: AsyncFd<OwnedFd>,
    /// Not a Unix socket, where a read stops behind each piece that descriptors came with (unix(7)).
    is_tcp: bool,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if FORKED.load(Relaxed) {
            let _ = SockRef::from(&self.io).shutdown(Shutdown::Both);
        }
    }
}

impl Socket {
    /// Registers a socket that is nonblocking already.
    ///
    /// # Errors
    /// When the runtime's epoll instance has no room for it.
    pub fn new(socket: impl Into<OwnedFd>, is_tcp: bool) -> io::Result<Self> {
        let io = register(socket.into(), Interest::READABLE | Interest::WRITABLE | URGENT)?;
        Ok(Self { io, is_tcp })
    }

    pub(crate) fn is_tcp(&self) -> bool {
        self.is_tcp
    }

    /// Reads what is there, without asking whether it is known to be readable.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.try_io(Interest::READABLE, || receive(self.as_fd(), buffer))
    }

    /// Writes what it takes.
    pub(crate) fn try_write(&self, data: &[u8]) -> io::Result<usize> {
        self.try_io(Interest::WRITABLE, || write_now(self.as_fd(), data))
    }

    /// Does something on the socket, if it is known to be ready for it.
    pub(crate) fn try_io<T>(
        &self,
        interest: Interest,
        mut operation: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        self.io.try_io(interest, |_| operation())
    }

    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_read_ready(cx).map_ok(drop)
    }

    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_write_ready(cx).map_ok(drop)
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.io.writable().await.map(drop)
    }

    /// The error that an attempt to connect ended with.
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        SockRef::from(&self.io).take_error()
    }

    /// This end's address; None for a Unix socket.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        SockRef::from(&self.io).local_addr().ok()?.as_socket()
    }

    /// Whether the peer has sent something that is not read, or is known to have ended its side.
    pub(crate) fn is_readable(&self) -> bool {
        self.readiness(Interest::READABLE).is_some() || ioctl_fionread(self).is_ok_and(|count| count > 0)
    }

    /// Whether the peer is known to have ended its side, without reading what it sent before.
    pub(crate) fn has_ended(&self) -> bool {
        self.readiness(Interest::READABLE).is_some_and(Ready::is_read_closed)
    }

    /// Whether the peer has ever sent urgent data, before which splice(2) stops.
    #[cfg(target_os = "linux")]
    pub(crate) fn has_urgent(&self) -> bool {
        self.readiness(URGENT).is_some_and(Ready::is_priority)
    }

    /// Whether a short read does not tell that the end came next: it may have stopped before urgent data, and a reset
    /// must not pass for an end.
    #[cfg(target_os = "linux")]
    fn is_special(&self) -> bool {
        self.readiness(URGENT.add(Interest::ERROR))
            .is_none_or(|ready| ready.is_priority() || ready.is_error())
    }

    /// Nobody tells of urgent data.
    #[cfg(not(target_os = "linux"))]
    fn is_special(&self) -> bool {
        true
    }

    /// What is known, without asking the kernel.
    fn readiness(&self, interest: Interest) -> Option<Ready> {
        let mut ready = std::pin::pin!(self.io.ready(interest));
        match ready.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(guard)) => Some(guard.ready()),
            Poll::Ready(Err(_)) => Some(Ready::READ_CLOSED),
            Poll::Pending => None,
        }
    }

    /// Less was moved than asked for, so nothing more can be until epoll says so (epoll(7), "Do I need
    /// to continuously read/write a file descriptor until EAGAIN"). Spares the call that would tell.
    fn exhausted(&self, interest: Interest) {
        if cfg!(target_os = "linux") {
            let _ = self.try_io(interest, || io::Result::<()>::Err(io::ErrorKind::WouldBlock.into()));
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.get_ref().as_fd()
    }
}

impl Stream for Socket {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<Read>> {
        let mut has_ended = false;
        let poll_ready =
            || self.io.poll_read_ready(cx).map_ok(|guard| has_ended = guard.ready().is_read_closed());
        let count = ready!(poll_until_done(poll_ready, || self.try_read(buffer)))?;
        let mut is_last = count == 0;
        if self.is_tcp && 0 < count && count < buffer.len() {
            if has_ended {
                is_last = !self.is_special();
            } else if self.try_io(URGENT, || Ok(())).is_err() {
                // Not where there is urgent data: a read stops before that, whatever comes after it.
                self.exhausted(Interest::READABLE);
            }
        }
        Poll::Ready(Ok(Read { count, is_last }))
    }

    fn poll_write(&self, cx: &mut Context<'_>, data: &[u8], is_last: bool) -> Poll<io::Result<usize>> {
        let flags = if is_last { SEND | MORE } else { SEND };
        let write = || self.try_io(Interest::WRITABLE, || Ok(send(self.as_fd(), data, flags)?));
        let count = ready!(poll_until_done(|| self.poll_write_ready(cx), write))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        if count < data.len() {
            self.exhausted(Interest::WRITABLE);
        }
        Poll::Ready(Ok(count))
    }

    fn shutdown(&self) -> io::Result<()> {
        SockRef::from(&self.io).shutdown(Shutdown::Write)
    }

    async fn reset(&self) {
        loop {
            match self.io.ready(Interest::ERROR).await {
                Ok(guard) if !guard.ready().is_error() => {}
                _ => return,
            }
        }
    }

    fn socket(&self) -> Option<&Socket> {
        Some(self)
    }
}

/// accept(2), for a socket that does not block, and its peer's address unless that is a Unix socket.
#[cfg(target_os = "linux")]
pub(crate) fn accept(listener: impl AsFd) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
    use rustix::net::{SocketFlags, acceptfrom_with};
    let (socket, peer) = acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    Ok((socket, peer.and_then(|peer| SocketAddr::try_from(peer).ok())))
}

/// accept(2), for a socket that does not block, and its peer's address unless that is a Unix socket.
#[cfg(not(target_os = "linux"))]
pub(crate) fn accept(listener: impl AsFd) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
    let (socket, peer) = SockRef::from(&listener).accept()?;
    socket.set_nonblocking(true)?;
    let peer = peer.as_socket();
    if peer.is_some() {
        let _ = socket.set_tcp_nodelay(true); // Inherited from the listener on Linux.
    }
    Ok((socket.into(), peer))
}

/// Writes to a socket that no runtime knows yet.
pub(crate) fn write_now(socket: impl AsFd, data: &[u8]) -> io::Result<usize> {
    Ok(send(socket, data, SEND)?)
}

fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    let (count, _) = recv(socket, buffer, RecvFlags::empty())?;
    Ok(count)
}

/// socket(2), nonblocking from the start.
#[cfg(target_os = "linux")]
pub(crate) fn nonblocking(domain: socket2::Domain) -> io::Result<Unregistered> {
    Unregistered::new(domain, socket2::Type::STREAM.nonblocking(), None)
}

/// socket(2), nonblocking from the start.
#[cfg(not(target_os = "linux"))]
pub(crate) fn nonblocking(domain: socket2::Domain) -> io::Result<Unregistered> {
    let socket = Unregistered::new(domain, socket2::Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
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

pub(crate) fn is_would_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::future::poll_fn;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Its side of a connection, and the peer's.
    fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        (Socket::new(stream, true).unwrap(), peer)
    }

    /// Reads once all that the peer did is there: until it is, the runtime is told nothing.
    async fn read(socket: &Socket) -> io::Result<Read> {
        poll_fn(|cx| socket.poll_read(cx, &mut [0; 100])).await
    }

    #[tokio::test]
    async fn the_end_is_known_with_the_last_words_if_both_have_come() {
        let (socket, mut peer) = pair();
        peer.write_all(b"goodbye").unwrap();
        drop(peer);
        assert_eq!(read(&socket).await.unwrap(), Read { count: 7, is_last: true });
        assert_eq!(read(&socket).await.unwrap(), Read { count: 0, is_last: true }, "it stays the end");
    }

    #[tokio::test]
    async fn words_are_not_the_last_while_the_peer_is_there() {
        let (socket, mut peer) = pair();
        peer.write_all(b"hello").unwrap();
        assert_eq!(read(&socket).await.unwrap(), Read { count: 5, is_last: false });
    }

    #[tokio::test]
    async fn a_full_buffer_tells_nothing_of_what_follows() {
        let (socket, mut peer) = pair();
        peer.write_all(&[b'x'; 100]).unwrap();
        drop(peer);
        assert_eq!(read(&socket).await.unwrap(), Read { count: 100, is_last: false });
        assert_eq!(read(&socket).await.unwrap(), Read { count: 0, is_last: true });
    }

    #[tokio::test]
    async fn a_reset_behind_words_does_not_pass_for_an_end() {
        let (socket, mut peer) = pair();
        peer.write_all(b"hello").unwrap();
        SockRef::from(&peer).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(peer);
        assert!(!read(&socket).await.is_ok_and(|read| read.is_last));
        assert_eq!(read(&socket).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn words_before_urgent_data_are_not_the_last() {
        let (socket, mut peer) = pair();
        peer.write_all(b"hello").unwrap();
        SockRef::from(&peer).send_out_of_band(b"!").unwrap();
        peer.write_all(b"goodbye").unwrap();
        drop(peer);
        assert_eq!(read(&socket).await.unwrap(), Read { count: 5, is_last: false });
        let rest = read(&socket).await.unwrap();
        assert_eq!(rest.count, 7);
        assert!(rest.is_last || read(&socket).await.unwrap().count == 0);
    }
}
