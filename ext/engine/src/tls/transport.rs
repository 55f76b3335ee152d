//! A connection: its socket, and the TLS layer over the socket once there is one.

use std::future::Future;
use std::io;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use super::handshake::HandshakeError;
use super::stream::{Layer, PeerEnd, TlsStream};
use crate::Socket;
use crate::net::keepalive::Keepalive;
use crate::net::parking::Key;
use crate::net::stream::{Read, Stream};

/// A socket with or without TLS. A connection without TLS should use [`socket`](Self::socket) where that matters: only
/// a socket can be spliced.
pub(crate) struct Transport {
    socket: Socket,
    /// Boxed, since most connections have none.
    layer: OnceLock<Box<Layer>>,
}

impl Transport {
    /// Creates a connection without TLS.
    pub(crate) fn new(socket: Socket) -> Self {
        Self { socket, layer: OnceLock::new() }
    }

    /// Puts TLS over the socket. A connection that has TLS keeps it.
    pub(crate) fn encrypt(&self, layer: Layer) {
        let _ = self.layer.set(Box::new(layer));
    }

    /// Returns the socket.
    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Tells whether the connection is encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.layer.get().is_some()
    }

    /// Tells whether the peer has ended its side without a close_notify, which it should have sent.
    pub(crate) fn was_truncated(&self) -> bool {
        self.layer.get().is_some_and(|layer| layer.peer_end() == Some(PeerEnd::Truncated))
    }

    /// Returns why TLS has failed after the handshake, if it has.
    pub(crate) fn failure(&self) -> Option<HandshakeError> {
        self.layer.get().and_then(|layer| layer.failure())
    }

    /// Tells whether the peer is known to have ended its side; its last bytes may be unread.
    pub(crate) fn has_ended(&self) -> bool {
        self.socket.has_ended() || self.layer.get().is_some_and(|layer| layer.peer_end().is_some())
    }

    /// Ends our side with a close_notify as far as the socket takes it at once.
    pub(crate) fn end_now(&self) {
        let _ = self.poll_flush(&mut Context::from_waker(Waker::noop()), true);
    }

    /// Sends no close_notify any more: the peer must not take what it has received for everything.
    pub(crate) fn abandon(&self) {
        if let Some(layer) = self.layer.get() {
            layer.abandon();
        }
    }

    /// Writes what the connection takes at once.
    pub(crate) fn try_write(&self, data: &[u8]) -> io::Result<usize> {
        let Some(stream) = self.encrypted() else { return self.socket.try_write(data) };
        match stream.poll_write(&mut Context::from_waker(Waker::noop()), data, false) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn encrypted(&self) -> Option<TlsStream<'_, Socket>> {
        self.layer.get().map(|layer| TlsStream { socket: &self.socket, layer })
    }
}

impl Stream for Transport {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<Read>> {
        match self.encrypted() {
            None => self.socket.poll_read(cx, buffer),
            Some(stream) => stream.poll_read(cx, buffer),
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>, data: &[u8], is_last: bool) -> Poll<io::Result<usize>> {
        match self.encrypted() {
            None => self.socket.poll_write(cx, data, is_last),
            Some(stream) => stream.poll_write(cx, data, is_last),
        }
    }

    fn poll_flush(&self, cx: &mut Context<'_>, is_last: bool) -> Poll<io::Result<()>> {
        match self.encrypted() {
            None => Poll::Ready(Ok(())),
            Some(stream) => stream.poll_flush(cx, is_last),
        }
    }

    fn has_unsent(&self) -> bool {
        self.encrypted().is_some_and(|stream| stream.has_unsent())
    }

    fn shutdown(&self) -> io::Result<()> {
        self.socket.shutdown()
    }

    fn wait_for_reset(&self) -> impl Future<Output = ()> + Send {
        self.socket.wait_for_reset()
    }

    fn keep_alive(&self, keepalive: Keepalive) {
        self.socket.keep_alive(keepalive);
    }

    fn park(&self, key: Key) {
        self.socket.park(key);
    }
}
