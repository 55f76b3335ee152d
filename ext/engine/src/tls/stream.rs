//! An encrypted stream: a TLS connection over a socket.
//!
//! An idle connection holds no buffer. Records are read into the caller's buffer and decrypted there; only a part of a
//! record is kept until the rest has come. Records for the peer are made in a buffer of the thread and sent from there;
//! only the part that the socket did not take is kept, and nothing more is encrypted until the socket has taken it.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};

use super::connection::{Connection, MAX_PLAINTEXT, MAX_RECORD, Message, Output, Processed, Step};
use super::handshake::HandshakeError;
use crate::net::stream::{Read, Stream};

/// Bytes that are encrypted for one write.
const WRITE_SIZE: usize = 4 * MAX_PLAINTEXT;

/// The least room for records in a buffer.
const MIN_READ: usize = MAX_RECORD;

thread_local! {
    static OUTPUT: RefCell<Output> = RefCell::default();
}

/// The TLS connection over a socket, after the handshake.
pub(crate) struct Layer(Mutex<State>);

/// A socket and the TLS connection over it.
pub(crate) struct TlsStream<'a, S> {
    pub(crate) socket: &'a S,
    pub(crate) layer: &'a Layer,
}

struct State {
    connection: Connection,
    /// Bytes of the peer that are not decrypted: part of a record, or records that came with the handshake.
    incoming: Vec<u8>,
    /// Whether `incoming` may hold a complete record.
    is_unprocessed: bool,
    /// Decrypted bytes for which the reader had no room.
    plaintext: BytesMut,
    /// Records for the peer that the socket did not take, and how many bytes of them it took since.
    outgoing: Vec<u8>,
    sent: usize,
    /// How the peer's side has ended, if it has.
    end: Option<PeerEnd>,
    /// Why the connection has failed, if it has. Boxed, since most never fail.
    failure: Option<Box<HandshakeError>>,
    /// Whether our side has ended: the close_notify is sent or in `outgoing`.
    has_ended: bool,
}

/// How the peer's side has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerEnd {
    /// By a close_notify.
    Closed,
    /// By a FIN without a close_notify.
    Truncated,
    /// By an error of the protocol.
    Failed,
}

impl Layer {
    /// Creates the layer after a handshake. `incoming` has come after it, and `plaintext` with it.
    pub(super) fn new(
        connection: Connection,
        mut incoming: Vec<u8>,
        plaintext: BytesMut,
        peer_closed: bool,
    ) -> Self {
        incoming.shrink_to_fit(); // The room of the handshake's messages.
        let is_unprocessed = !incoming.is_empty();
        Self(Mutex::new(State {
            connection,
            incoming,
            is_unprocessed,
            plaintext,
            outgoing: Vec::new(),
            sent: 0,
            end: peer_closed.then_some(PeerEnd::Closed),
            failure: None,
            has_ended: false,
        }))
    }

    /// Returns how the peer's side has ended, if the end was read.
    pub(crate) fn peer_end(&self) -> Option<PeerEnd> {
        let state = self.lock();
        state.end.filter(|_| state.plaintext.is_empty())
    }

    /// Returns why the connection has failed: what the peer sent is no TLS, or it sent an alert. With TLS 1.3 a server
    /// checks the client's certificate after the client's handshake (RFC 8446, section 4.4).
    pub(crate) fn failure(&self) -> Option<HandshakeError> {
        self.lock().failure.as_deref().cloned()
    }

    /// Ends our side without a close_notify: the peer must not take what it has received for everything.
    pub(crate) fn abandon(&self) {
        self.lock().has_ended = true;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic ends the connection.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Stream> Stream for TlsStream<'_, S> {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<Read>> {
        let mut state = self.layer.lock();
        loop {
            if let Some(read) = state.take_plaintext(buffer) {
                return Poll::Ready(Ok(read));
            }
            let needed = state.needed();
            if buffer.len() >= needed {
                if let Some(read) = ready!(state.poll_read(self.socket, cx, buffer))? {
                    return Poll::Ready(Ok(read));
                }
            } else {
                let mut own = vec![0; needed];
                if let Some(read) = ready!(state.poll_read(self.socket, cx, &mut own))? {
                    state.plaintext.extend_from_slice(&own[..read.count]);
                }
            }
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>, data: &[u8], is_last: bool) -> Poll<io::Result<usize>> {
        self.layer.lock().poll_write(self.socket, cx, data, is_last)
    }

    fn poll_flush(&self, cx: &mut Context<'_>, is_last: bool) -> Poll<io::Result<()>> {
        let mut state = self.layer.lock();
        if is_last && !state.has_ended {
            OUTPUT.with_borrow_mut(|output| {
                output.clear();
                state.end(output)?;
                state.outgoing.extend_from_slice(output.records());
                io::Result::Ok(())
            })?;
        }
        state.poll_send(self.socket, cx, is_last)
    }

    fn has_unsent(&self) -> bool {
        !self.layer.lock().outgoing.is_empty()
    }

    fn shutdown(&self) -> io::Result<()> {
        self.socket.shutdown()
    }

    fn wait_for_reset(&self) -> impl Future<Output = ()> + Send {
        self.socket.wait_for_reset()
    }
}

impl State {
    /// Moves decrypted bytes to `buffer`. Returns `None` if there are none and more may come.
    fn take_plaintext(&mut self, buffer: &mut [u8]) -> Option<Read> {
        let count = buffer.len().min(self.plaintext.len());
        if count == 0 && self.end.is_none_or(|end| end == PeerEnd::Failed) {
            return None;
        }
        buffer[..count].copy_from_slice(&self.plaintext[..count]);
        self.plaintext.advance(count);
        let is_last =
            self.plaintext.is_empty() && matches!(self.end, Some(PeerEnd::Closed | PeerEnd::Truncated));
        if self.plaintext.is_empty() {
            self.plaintext = BytesMut::new(); // An empty rest would keep the whole buffer allocated.
        }
        Some(Read { count, is_last })
    }

    /// Returns the size of a buffer that has room for the next record, and for the gap before the first one.
    fn needed(&self) -> usize {
        MAX_PLAINTEXT + self.incoming.len() + MIN_READ
    }

    /// Reads records to `buffer` and leaves their plaintext at its front. Returns `None` if a larger buffer is needed.
    fn poll_read(
        &mut self,
        socket: &impl Stream,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<Option<Read>>> {
        while buffer.len() >= self.needed() {
            if self.end == Some(PeerEnd::Failed) {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            // The plaintext of a record is written before the record, which needs a gap in front of the first one.
            let mut end = MAX_PLAINTEXT + self.incoming.len();
            let mut has_ended = false;
            if !self.is_unprocessed {
                let read = ready!(socket.poll_read(cx, &mut buffer[end..]))?;
                buffer[MAX_PLAINTEXT..end].copy_from_slice(&self.incoming);
                end += read.count;
                has_ended = read.is_last || read.count == 0;
            } else {
                buffer[MAX_PLAINTEXT..end].copy_from_slice(&self.incoming);
                self.is_unprocessed = false;
            }
            let count = OUTPUT.with_borrow_mut(|output| self.decrypt(buffer, end, output));
            // An error of the socket is reported by the next write.
            let _ = self.poll_send(socket, cx, false);
            if has_ended && self.end.is_none() {
                self.end = Some(PeerEnd::Truncated);
            }
            if self.end.is_some() {
                self.incoming = Vec::new();
            }
            let is_last = matches!(self.end, Some(PeerEnd::Closed | PeerEnd::Truncated));
            if count > 0 || is_last {
                return Poll::Ready(Ok(Some(Read { count, is_last })));
            }
        }
        Poll::Ready(Ok(None))
    }

    /// Decrypts the records that begin after the gap of `buffer` and end at `end`. Returns the length of the plaintext,
    /// and keeps the rest of the records.
    fn decrypt(&mut self, buffer: &mut [u8], end: usize, output: &mut Output) -> usize {
        let (mut begin, mut count) = (MAX_PLAINTEXT, 0);
        output.clear();
        loop {
            let (front, records) = buffer[..end].split_at_mut(begin);
            let Processed { discard, step } = self.connection.process(records, output, &mut |plaintext| {
                front[count..count + plaintext.len()].copy_from_slice(plaintext);
                count += plaintext.len();
            });
            begin += discard;
            match step {
                Ok(Step::Progress) => {}
                Ok(Step::Blocked | Step::Encrypted) => break,
                Ok(Step::PeerClosed) => {
                    self.end = Some(PeerEnd::Closed);
                    break;
                }
                Err(error) => {
                    (self.end, self.has_ended) = (Some(PeerEnd::Failed), true);
                    self.failure = Some(Box::new(error.into()));
                    self.connection.alert(output);
                    break;
                }
            }
        }
        self.outgoing.extend_from_slice(output.records());
        let rest = &buffer[begin..end];
        if rest.is_empty() {
            self.incoming = Vec::new();
        } else {
            self.incoming.clear();
            self.incoming.extend_from_slice(rest);
        }
        count
    }

    fn poll_write(
        &mut self,
        socket: &impl Stream,
        cx: &mut Context<'_>,
        data: &[u8],
        is_last: bool,
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(socket, cx, false))?;
        if self.end == Some(PeerEnd::Failed) {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let mut taken = 0;
        for chunk in data.chunks(WRITE_SIZE) {
            taken += chunk.len();
            let is_last = is_last && taken == data.len();
            OUTPUT.with_borrow_mut(|output| {
                output.clear();
                self.encrypt(Message::Data(chunk), output)?;
                if is_last {
                    self.end(output)?;
                }
                self.send(socket, cx, output.records(), is_last)
            })?;
            if !self.outgoing.is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(taken))
    }

    /// Adds our close_notify.
    fn end(&mut self, output: &mut Output) -> io::Result<()> {
        self.has_ended = true;
        self.encrypt(Message::CloseNotify, output)
    }

    fn encrypt(&mut self, message: Message<'_>, output: &mut Output) -> io::Result<()> {
        let Self { connection, incoming, plaintext, .. } = self;
        let mut keep = |bytes: &[u8]| plaintext.extend_from_slice(bytes);
        match connection.encrypt(message, incoming, output, &mut keep) {
            Ok(false) => Ok(()),
            Ok(true) => {
                self.end = Some(PeerEnd::Closed);
                Ok(())
            }
            Err(error) => {
                (self.end, self.has_ended) = (Some(PeerEnd::Failed), true);
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
        }
    }

    /// Sends records at once, and keeps what the socket does not take.
    fn send(
        &mut self,
        socket: &impl Stream,
        cx: &mut Context<'_>,
        mut records: &[u8],
        is_last: bool,
    ) -> io::Result<()> {
        while !records.is_empty() {
            match socket.poll_write(cx, records, is_last) {
                Poll::Ready(count) => records = &records[count?..],
                Poll::Pending => {
                    self.outgoing.extend_from_slice(records);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Sends the records that were kept.
    fn poll_send(
        &mut self,
        socket: &impl Stream,
        cx: &mut Context<'_>,
        is_last: bool,
    ) -> Poll<io::Result<()>> {
        while self.sent < self.outgoing.len() {
            self.sent += ready!(socket.poll_write(cx, &self.outgoing[self.sent..], is_last))?;
        }
        if self.sent > 0 {
            (self.outgoing, self.sent) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
