//! The handshake, with a client or with a server.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proxymachine_sniff::SniffError;
use proxymachine_sniff::tls::{client_hello, version_name};
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerMisbehaved, ProtocolVersion};
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::connection::{Connection, Output, Processed, Step};
use super::info::TlsInfo;
use super::own_certificate;
use super::selection::alert_instead;
use super::stream::Layer;
use crate::error::plain;
use crate::net::scratch;
use crate::net::stream::Stream;

/// Bytes that one read of a handshake takes.
const READ_SIZE: usize = 16 * 1024;

/// The oldest version that is spoken here, as the ClientHello has it (RFC 5246, section 7.4.1.2).
const TLS_1_2: u16 = 0x0303;

/// Upper limit of the bytes that a client may send until its ClientHello is complete: the longest one, in records of
/// ordinary size.
const MAX_HELLO: usize = 80 * 1024;

thread_local! {
    /// The permit to work for a handshake on this thread.
    static TURN: Arc<Semaphore> = Arc::new(Semaphore::new(1));
}

/// Why a handshake failed. Displayed as the reason in a log line.
#[derive(Debug, Clone, PartialEq)]
pub enum HandshakeError {
    /// The peer ended the connection.
    Closed,
    /// The socket failed, mostly by a reset.
    Socket(io::ErrorKind, Box<str>),
    /// The handshake took too long.
    Timeout(Duration),
    /// What the peer sent is no TLS.
    NoTls,
    /// This version is the newest that the client offers, and it is too old.
    TooOld(u16),
    /// No certificate has the name that the client asks for, and unknown names are refused.
    UnknownName(Box<str>),
    /// rustls refused, or the peer sent an alert.
    Tls(Error),
    /// The server's reply in clear before the handshake was not the expected one.
    Reply(Box<str>),
}

impl HandshakeError {
    /// Tells whether the server's certificate was not accepted.
    #[must_use]
    pub fn is_certificate(&self) -> bool {
        matches!(self, Self::Tls(Error::InvalidCertificate(_)))
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the other side closed the connection"),
            Self::Socket(_, text) => f.write_str(text),
            Self::Timeout(limit) => write!(f, "not done within {:?}s", limit.as_secs_f64()),
            Self::NoTls => f.write_str("the other side does not speak TLS"),
            Self::TooOld(version) => {
                write!(
                    f,
                    "the other side speaks {} at most",
                    version_name(*version).unwrap_or("an old version")
                )
            }
            Self::UnknownName(name) => write!(f, "no certificate has the name {name:?}"),
            Self::Tls(error @ Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                write!(f, "{error}: no trusted authority has signed it")
            }
            Self::Tls(Error::PeerMisbehaved(PeerMisbehaved::ServerNameMustContainOneHostName)) => {
                f.write_str("the client asks for a name that no certificate can have")
            }
            Self::Tls(error) => write!(f, "{error}"),
            Self::Reply(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for HandshakeError {}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        Self::Socket(error.kind(), plain(&error).into())
    }
}

impl From<Error> for HandshakeError {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) => Self::NoTls,
            other => Self::Tls(other),
        }
    }
}

/// One handshake.
pub(crate) struct Handshake {
    connection: Connection,
    /// What the peer has sent and is not processed yet.
    incoming: Vec<u8>,
    output: Output,
    plaintext: BytesMut,
    sni: Option<Box<str>>,
    /// Whether the peer's close_notify has come with the handshake.
    peer_closed: bool,
    /// Whether the server has asked for a certificate of ours.
    is_asked: bool,
}

impl Handshake {
    /// Begins a handshake. `received` has come already.
    pub(crate) fn new(connection: Connection, received: &[u8]) -> Self {
        Self {
            connection,
            incoming: received.to_vec(),
            output: Output::default(),
            plaintext: BytesMut::new(),
            sni: None,
            peer_closed: false,
            is_asked: false,
        }
    }

    /// Returns the first bytes for a server.
    pub(crate) fn first_flight(&mut self) -> Result<Bytes, HandshakeError> {
        while let Step::Progress = self.process()? {}
        let flight = Bytes::copy_from_slice(self.output.records());
        self.output.clear();
        Ok(flight)
    }

    /// Reads the ClientHello, which tells the server name.
    pub(crate) async fn read_hello(&mut self, socket: &impl Stream) -> Result<(), HandshakeError> {
        loop {
            match client_hello(&self.incoming) {
                Err(SniffError::Incomplete) if self.incoming.len() < MAX_HELLO => self.read(socket).await?,
                Ok(hello) => {
                    // rustls refuses such a client for the lack of an extension, with another alert.
                    match hello.versions().max() {
                        Some(newest) if newest < TLS_1_2 => return Err(HandshakeError::TooOld(newest)),
                        _ => {}
                    }
                    self.sni = hello.sni().map(|name| name.to_string().into());
                    return Ok(());
                }
                // rustls finds out what is wrong.
                Err(_) => return Ok(()),
            }
        }
    }

    /// Completes the handshake. After an error [`send_alert`](Self::send_alert) tells the peer.
    pub(crate) async fn complete(&mut self, socket: &impl Stream) -> Result<(), HandshakeError> {
        loop {
            match self.process_in_turn().await? {
                Step::Progress => {}
                Step::PeerClosed => self.peer_closed = true,
                Step::Blocked | Step::Encrypted => {
                    self.flush(socket).await?;
                    if !self.connection.negotiated().is_handshaking() {
                        return Ok(());
                    }
                    if self.peer_closed {
                        return Err(HandshakeError::Closed);
                    }
                    self.read(socket).await?;
                }
            }
        }
    }

    /// Waits for what the server says first after the handshake, at most for `limit`, if it may be an alert about our
    /// certificate: with TLS 1.3 a server sees our certificate, or that we have none, when the handshake is over for us
    /// (RFC 8446, section 2, figure 1). Most servers then send a ticket.
    pub(crate) async fn confirm(
        &mut self,
        socket: &impl Stream,
        limit: Duration,
    ) -> Result<(), HandshakeError> {
        let is_tls13 = self.connection.negotiated().protocol_version() == Some(ProtocolVersion::TLSv1_3);
        if !self.is_asked || !is_tls13 || self.peer_closed {
            return Ok(());
        }
        match timeout(limit, self.read(socket)).await {
            Ok(read) => read?,
            Err(_) => return Ok(()),
        }
        loop {
            match self.process_in_turn().await? {
                Step::Progress => {}
                Step::PeerClosed => self.peer_closed = true,
                Step::Blocked | Step::Encrypted => return self.flush(socket).await,
            }
        }
    }

    /// Sends the alert that says what is wrong, if there is one.
    pub(crate) async fn send_alert(&mut self, socket: &impl Stream, error: &HandshakeError) {
        self.connection.alert(&mut self.output);
        let is_refusal = match error {
            HandshakeError::NoTls => true,
            HandshakeError::TooOld(_) => {
                // RFC 5246, appendix E.1.
                self.output.add_alert(AlertDescription::ProtocolVersion);
                false
            }
            HandshakeError::Tls(error) => !matches!(error, Error::AlertReceived(_)),
            _ => false,
        };
        // rustls has no alert for some messages, such as a ClientHello that is too long.
        if is_refusal
            && self.output.records().is_empty()
            && self.connection.negotiated().protocol_version().is_none()
        {
            self.output.add_alert(AlertDescription::DecodeError);
        }
        let instead = match error {
            HandshakeError::UnknownName(_) => Some(AlertDescription::UnrecognisedName),
            HandshakeError::Tls(error) => alert_instead(error),
            _ => None,
        };
        if let Some(alert) = instead {
            self.output.replace_alert(alert);
        }
        let _ = self.flush(socket).await;
    }

    /// Returns the established connection, and what was negotiated.
    pub(crate) fn finish(self) -> (Layer, TlsInfo) {
        let info = TlsInfo::of(self.connection.negotiated(), self.sni);
        (Layer::new(self.connection, self.incoming, self.plaintext, self.peer_closed), info)
    }

    /// Processes what has come when it is this handshake's turn. A signature takes up to a millisecond of the thread, so
    /// the runtime looks at the sockets, and the relays have theirs, between the work of two handshakes.
    async fn process_in_turn(&mut self) -> Result<Step, HandshakeError> {
        let turn = TURN.with(Arc::clone).acquire_owned().await;
        loop {
            let step = self.process()?;
            match step {
                Step::Progress => {}
                _ => {
                    yield_now().await;
                    drop(turn);
                    return Ok(step);
                }
            }
        }
    }

    fn process(&mut self) -> Result<Step, HandshakeError> {
        let Self { connection, incoming, output, plaintext, .. } = self;
        let mut keep = |bytes: &[u8]| plaintext.extend_from_slice(bytes);
        let Processed { discard, step } = connection.process(incoming, output, &mut keep);
        incoming.drain(..discard);
        self.is_asked |= own_certificate::take_asked();
        step.map_err(|error| match (alert_instead(&error), &self.sni) {
            (Some(AlertDescription::UnrecognisedName), Some(name)) => {
                HandshakeError::UnknownName(name.clone())
            }
            _ => error.into(),
        })
    }

    async fn flush(&mut self, socket: &impl Stream) -> Result<(), HandshakeError> {
        let mut records = self.output.records();
        while !records.is_empty() {
            let count = poll_fn(|cx| socket.poll_write(cx, records, false)).await?;
            records = &records[count..];
        }
        self.output.clear();
        Ok(())
    }

    async fn read(&mut self, socket: &impl Stream) -> Result<(), HandshakeError> {
        let incoming = &mut self.incoming;
        let read = poll_fn(|cx| {
            scratch::with(READ_SIZE, |scratch| {
                let read = ready!(socket.poll_read(cx, scratch))?;
                incoming.extend_from_slice(&scratch[..read.count]);
                Poll::Ready(io::Result::Ok(read.count))
            })
        });
        match read.await? {
            0 => Err(HandshakeError::Closed),
            _ => Ok(()),
        }
    }
}
