//! A connected socket, TCP or Unix, registered with the runtime of this thread.
//!
//! All methods take a shared reference: a relay reads, writes and waits for resets at the same time.
//!
//! This file and `stream.rs` import each other: [`Socket`] is a [`Stream`], and a stream gives access to its socket.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use rustix::io::ioctl_fionread;
use rustix::net::{RecvFlags, SendFlags, connect_unspec, recv, send};
use socket2::{SockAddr, SockRef, Socket as Unregistered};
use tokio::io::{Interest, Ready};

use super::keepalive::Keepalive;
use super::parking::Key;
use super::registration::{Io, Registration};
use crate::net::stream::{Read, Stream};
use crate::router::remote::{InvalidRemote, MAX_UNIX};

/// Flags of every write. After a reset a write returns an error and raises no signal.
#[cfg(not(target_vendor = "apple"))]
const SEND: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
const SEND: SendFlags = SendFlags::empty();

/// Flag of a write that waits for the end (send(2), tcp(7)), where the system has one.
#[cfg(target_os = "linux")]
const MORE: SendFlags = SendFlags::MORE;
#[cfg(not(target_os = "linux"))]
const MORE: SendFlags = SendFlags::empty();

/// Readiness for urgent data (tcp(7)), where the system reports it.
#[cfg(target_os = "linux")]
const URGENT: Interest = Interest::PRIORITY;
#[cfg(not(target_os = "linux"))]
const URGENT: Interest = Interest::READABLE;

/// All events that a socket is registered for.
const ALL: Interest = Interest::READABLE.add(Interest::WRITABLE).add(URGENT);

/// The socket is no Unix socket, where a read stops after a piece that came with descriptors (unix(7)).
const TCP: u8 = 1;

/// A write has failed because of a reset. The kernel reports a reset once, so a later read would report an ordinary end.
const WAS_RESET: u8 = 2;

/// splice(2) has written to the socket, which was not shut down since. It hides an error that follows the first bytes of
/// a call: the next write reports EPIPE, and a read an ordinary end.
const WAS_SPLICED_TO: u8 = 4;

/// The socket was parked or is expected to have bytes, and was not read since. The runtime learns only in its next turn
/// what is there.
const TRY_READ: u8 = 8;

/// The same for writes.
const TRY_WRITE: u8 = 16;

/// Whether a forked child of this process may hold copies of the sockets.
static FORKED: AtomicBool = AtomicBool::new(false);

/// Declares that the process has forked. From then on sockets are shut down with shutdown(2) before they are closed,
/// since a copy in a child that does not exec would keep the connection open.
pub fn process_forked() {
    FORKED.store(true, Relaxed);
}

/// A nonblocking socket. Dropping it closes the connection, also if other processes hold copies.
#[derive(Debug)]
pub struct Socket(Registration);

impl Drop for Socket {
    fn drop(&mut self) {
        if FORKED.load(Relaxed) {
            let _ = SockRef::from(&*self).shutdown(Shutdown::Both);
        }
    }
}

impl Socket {
    /// Registers a nonblocking socket.
    ///
    /// # Errors
    /// If the runtime's epoll instance refuses it.
    pub fn new(socket: impl Into<OwnedFd>, is_tcp: bool) -> io::Result<Self> {
        Registration::new(socket.into(), ALL, if is_tcp { TCP } else { 0 }).map(Self)
    }

    /// Declares that bytes have probably come before the runtime has looked at the socket.
    pub(crate) fn expect_bytes(&self) {
        self.set(TRY_READ | TRY_WRITE);
    }

    pub(crate) fn is_tcp(&self) -> bool {
        self.has(TCP)
    }

    fn has(&self, flag: u8) -> bool {
        self.0.flags.load(Relaxed) & flag != 0
    }

    fn set(&self, flag: u8) {
        self.0.flags.fetch_or(flag, Relaxed);
    }

    fn io(&self) -> io::Result<Io<'_>> {
        self.0.io(ALL)
    }

    /// Gives up the registration with the runtime, unless something is known to have come. The next event wakes the task
    /// at `key`; any use of the socket registers it again.
    pub(crate) fn park(&self, key: Key) {
        let has_news = self.readiness(Interest::READABLE | URGENT | Interest::ERROR).is_some();
        if !has_news && self.0.park(key) {
            self.set(TRY_READ | TRY_WRITE);
        }
    }

    /// Reads the bytes that are there, if the socket is known to be readable.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.try_io(Interest::READABLE, || receive(self.as_fd(), buffer))
    }

    /// Writes as many bytes as the socket takes.
    pub(crate) fn try_write(&self, data: &[u8]) -> io::Result<usize> {
        let write = || write_now(self.as_fd(), data);
        self.without_waiting(TRY_WRITE, write).unwrap_or_else(|| self.try_io(Interest::WRITABLE, write))
    }

    /// Calls `operation` if the socket is known to be ready for it.
    pub(crate) fn try_io<T>(
        &self,
        interest: Interest,
        mut operation: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        self.io()?.try_io(interest, |_| operation())
    }

    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io()?.poll_read_ready(cx).map_ok(drop)
    }

    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io()?.poll_write_ready(cx).map_ok(drop)
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_write_ready(cx)).await
    }

    /// Returns the error of a failed connect.
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        SockRef::from(self).take_error()
    }

    /// Records the error of a write, so that reads report the reset, too. EPIPE is no reset: the peer had ended its
    /// side before, which reads report.
    pub(crate) fn record_write_error(&self, error: &io::Error) {
        if !is_broken_pipe(error) || self.has(WAS_SPLICED_TO) {
            self.set(WAS_RESET);
        }
    }

    /// Records that splice(2) writes to the socket.
    #[cfg(target_os = "linux")]
    pub(crate) fn record_splice(&self) {
        self.set(WAS_SPLICED_TO);
    }

    /// Returns the count of a read, or an error if the end that a count of 0 means is a reset.
    pub(crate) fn checked_end(&self, count: usize) -> io::Result<usize> {
        // After a reset the socket has no peer. (After two FINs neither, but after ours nothing was spliced.)
        let is_gone = || SockRef::from(self).peer_addr().is_err();
        // Linux keeps EPIPE for a reset that follows a FIN, until a write reports it, and ECONNRESET for another reset.
        let ended_before = || self.take_error().is_ok_and(|error| error.as_ref().is_some_and(is_broken_pipe));
        let was_reset = || self.has(WAS_RESET) || self.has(WAS_SPLICED_TO) && is_gone() && !ended_before();
        if count == 0 && self.is_tcp() && was_reset() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(count)
    }

    /// Closes the connection with a reset when the socket is dropped, or at once if other processes hold copies of the
    /// socket. A Unix socket knows no reset.
    pub(crate) fn reset(&self) {
        if !self.is_tcp() {
            return;
        }
        let _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
        if cfg!(target_os = "linux") && FORKED.load(Relaxed) {
            let _ = connect_unspec(self);
        }
    }

    /// Returns the local address; `None` for a Unix socket.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        SockRef::from(self).local_addr().ok()?.as_socket()
    }

    /// Tells whether unread bytes are there, or the peer is known to have ended its side.
    pub(crate) fn is_readable(&self) -> bool {
        self.readiness(Interest::READABLE).is_some() || ioctl_fionread(self).is_ok_and(|count| count > 0)
    }

    /// Returns the number of bytes that have come and were not read.
    pub(crate) fn unread(&self) -> u64 {
        ioctl_fionread(self).unwrap_or_default()
    }

    /// Forgets that the socket is known to be readable, after a look that has found nothing to read.
    pub(crate) fn clear_readable(&self) {
        let _ = self.try_io(Interest::READABLE, || io::Result::<()>::Err(io::ErrorKind::WouldBlock.into()));
    }

    /// Tells whether the peer is known to have ended its side; its last bytes may be unread.
    pub(crate) fn has_ended(&self) -> bool {
        self.readiness(Interest::READABLE).is_some_and(Ready::is_read_closed)
    }

    /// Tells whether the connection is known to be over in both directions: by two FINs, or by a reset.
    pub(crate) fn is_over(&self) -> bool {
        self.has(WAS_RESET) || self.readiness(Interest::WRITABLE).is_some_and(Ready::is_write_closed)
    }

    /// Tells whether the peer has ever sent urgent data, before which splice(2) stops.
    #[cfg(target_os = "linux")]
    pub(crate) fn has_urgent(&self) -> bool {
        self.readiness(URGENT).is_some_and(Ready::is_priority)
    }

    /// Tells whether a short read does not prove that the end comes next: the read may have stopped before urgent data,
    /// and a reset must not pass for an end.
    #[cfg(target_os = "linux")]
    fn is_special(&self) -> bool {
        if self.has(WAS_RESET) || self.has(WAS_SPLICED_TO) {
            return true;
        }
        self.readiness(URGENT.add(Interest::ERROR))
            .is_none_or(|ready| ready.is_priority() || ready.is_error())
    }

    /// Returns `true`, since the system does not report urgent data.
    #[cfg(not(target_os = "linux"))]
    fn is_special(&self) -> bool {
        true
    }

    /// Returns the known readiness without a system call.
    fn readiness(&self, interest: Interest) -> Option<Ready> {
        let Ok(io) = self.io() else { return Some(Ready::READ_CLOSED) };
        let mut ready = std::pin::pin!(io.ready(interest));
        match ready.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(guard)) => Some(guard.ready()),
            Poll::Ready(Err(_)) => Some(Ready::READ_CLOSED),
            Poll::Pending => None,
        }
    }

    /// Calls `operation` if `flag` is set, which it removes, without waiting for the socket's readiness. Returns `None` if
    /// the socket is to be waited for.
    fn without_waiting<T>(
        &self,
        flag: u8,
        operation: impl FnOnce() -> io::Result<T>,
    ) -> Option<io::Result<T>> {
        if !self.has(flag) {
            return None;
        }
        self.0.flags.fetch_and(!flag, Relaxed);
        match self.io().and_then(|_| operation()) {
            Err(error) if is_would_block(&error) => None,
            done => Some(done),
        }
    }

    /// Clears the readiness after a short read or write, which saves the call that would return EAGAIN (epoll(7), "Do I
    /// need to continuously read/write a file descriptor until EAGAIN").
    fn exhausted(&self, interest: Interest) {
        if cfg!(target_os = "linux") {
            let _ = self.try_io(interest, || io::Result::<()>::Err(io::ErrorKind::WouldBlock.into()));
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Stream for Socket {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<Read>> {
        let mut has_ended = false;
        let poll_ready =
            || self.io()?.poll_read_ready(cx).map_ok(|guard| has_ended = guard.ready().is_read_closed());
        let count = match self.without_waiting(TRY_READ, || receive(self.as_fd(), buffer)) {
            Some(read) => read,
            None => ready!(poll_until_done(poll_ready, || self.try_read(buffer))),
        }?;
        let count = self.checked_end(count)?;
        let mut is_last = count == 0;
        if self.is_tcp() && 0 < count && count < buffer.len() {
            if has_ended {
                is_last = !self.is_special();
            } else if self.try_io(URGENT, || Ok(())).is_err() {
                // Not with urgent data: a read stops before it, and more bytes may follow.
                self.exhausted(Interest::READABLE);
            }
        }
        Poll::Ready(Ok(Read { count, is_last }))
    }

    fn poll_write(&self, cx: &mut Context<'_>, data: &[u8], is_last: bool) -> Poll<io::Result<usize>> {
        let flags = if is_last { SEND | MORE } else { SEND };
        let write = || Ok(send(self.as_fd(), data, flags)?);
        let written = match self.without_waiting(TRY_WRITE, write) {
            Some(written) => written,
            None => ready!(poll_until_done(
                || self.poll_write_ready(cx),
                || self.try_io(Interest::WRITABLE, write)
            )),
        };
        let count = written.inspect_err(|error| self.record_write_error(error))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        if count < data.len() {
            self.exhausted(Interest::WRITABLE);
        }
        Poll::Ready(Ok(count))
    }

    fn shutdown(&self) -> io::Result<()> {
        let was_spliced_to = self.0.flags.fetch_and(!WAS_SPLICED_TO, Relaxed) & WAS_SPLICED_TO != 0;
        let ended = SockRef::from(self).shutdown(Shutdown::Write);
        if was_spliced_to && ended.is_err() {
            self.set(WAS_RESET);
        }
        ended
    }

    async fn wait_for_reset(&self) {
        let Ok(io) = self.io() else { return };
        loop {
            match io.ready(Interest::ERROR).await {
                Ok(guard) if !guard.ready().is_error() => {}
                _ => return,
            }
        }
    }

    fn socket(&self) -> Option<&Socket> {
        Some(self)
    }

    fn keep_alive(&self, keepalive: Keepalive) {
        if self.is_tcp() {
            keepalive.apply(&SockRef::from(self));
        }
    }

    fn park(&self, key: Key) {
        Socket::park(self, key);
    }
}

/// Accepts a nonblocking socket. Returns it with the peer's address; `None` for a Unix socket.
#[cfg(target_os = "linux")]
pub(crate) fn accept(listener: impl AsFd) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
    use rustix::net::{SocketFlags, acceptfrom_with};
    let (socket, peer) = acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    Ok((socket, peer.and_then(|peer| SocketAddr::try_from(peer).ok())))
}

/// Accepts a nonblocking socket. Returns it with the peer's address; `None` for a Unix socket.
#[cfg(not(target_os = "linux"))]
pub(crate) fn accept(listener: impl AsFd) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
    let (socket, peer) = SockRef::from(&listener).accept()?;
    socket.set_nonblocking(true)?;
    let peer = peer.as_socket();
    if peer.is_some() {
        let _ = socket.set_tcp_nodelay(true); // On Linux the socket inherits the option.
    }
    Ok((socket.into(), peer))
}

/// Writes without waiting for readiness.
pub(crate) fn write_now(socket: impl AsFd, data: &[u8]) -> io::Result<usize> {
    Ok(send(socket, data, SEND)?)
}

fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    let (count, _) = recv(socket, buffer, RecvFlags::empty())?;
    Ok(count)
}

/// Opens a nonblocking socket.
#[cfg(target_os = "linux")]
pub(crate) fn nonblocking(domain: socket2::Domain) -> io::Result<Unregistered> {
    Unregistered::new(domain, socket2::Type::STREAM.nonblocking(), None)
}

/// Opens a nonblocking socket.
#[cfg(not(target_os = "linux"))]
pub(crate) fn nonblocking(domain: socket2::Domain) -> io::Result<Unregistered> {
    let socket = Unregistered::new(domain, socket2::Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Returns the address of a Unix socket: a path, or an abstract name after an `@` (unix(7)).
pub(crate) fn unix_address(path: &str) -> io::Result<SockAddr> {
    if path.len() > MAX_UNIX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, InvalidRemote::LongPath));
    }
    match path.strip_prefix('@') {
        Some(name) => SockAddr::unix(format!("\0{name}")),
        None => SockAddr::unix(path),
    }
}

/// Repeats `operation` whenever the socket is ready, until the result is not EAGAIN.
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

fn is_broken_pipe(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

pub(crate) fn is_would_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
