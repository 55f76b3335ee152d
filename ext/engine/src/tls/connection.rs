//! One TLS connection as a state machine without I/O. This file alone knows rustls's unbuffered API, which a later
//! version of rustls will not have.

use std::sync::Arc;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic};
use rustls::{AlertDescription, ClientConfig, CommonState, Error, ServerConfig};

/// Upper limit of the plaintext in one record (RFC 8446, section 5.1).
pub(crate) const MAX_PLAINTEXT: usize = 16 * 1024;

/// Upper limit of a record on the wire (RFC 5246, section 6.2.3, which allows more than RFC 8446).
pub(crate) const MAX_RECORD: usize = MAX_PLAINTEXT + 2048 + 5;

/// What encryption adds to a record at most, with the cipher suites of rustls: header, explicit nonce, content type and
/// tag.
const RECORD_OVERHEAD: usize = 64;

/// The content type of an alert, and the level of a fatal one (RFC 8446, appendix B).
const ALERT: u8 = 21;
const FATAL: u8 = 2;

/// A TLS connection, with a client or with a server.
pub(crate) enum Connection {
    /// We are the server.
    Server(UnbufferedServerConnection),
    /// We are the client.
    Client(UnbufferedClientConnection),
}

/// What processing records has led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Something was done; there may be more to do with the rest of the bytes.
    Progress,
    /// More bytes from the peer are needed.
    Blocked,
    /// The peer has ended its side with close_notify. Reported once; there may be more to do.
    PeerClosed,
    /// The message was encrypted.
    Encrypted,
}

/// The result of processing records.
pub(crate) struct Processed {
    /// Number of bytes at the front of the input that are done with.
    pub(crate) discard: usize,
    /// What to do next.
    pub(crate) step: Result<Step, Error>,
}

impl Connection {
    /// Creates our side of a connection with a client.
    pub(crate) fn server(config: Arc<ServerConfig>) -> Result<Self, Error> {
        UnbufferedServerConnection::new(config).map(Self::Server)
    }

    /// Creates our side of a connection with the server of this name.
    pub(crate) fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, Error> {
        UnbufferedClientConnection::new(config, name).map(Self::Client)
    }

    /// Returns what was negotiated.
    pub(crate) fn negotiated(&self) -> &CommonState {
        match self {
            Self::Server(connection) => connection,
            Self::Client(connection) => connection,
        }
    }

    /// Processes records of the peer, in place, up to the first one with plaintext, which goes to `plaintext`. What is
    /// to be sent to the peer goes to `output`; the caller must send it, after an error, too.
    pub(crate) fn process(
        &mut self,
        incoming: &mut [u8],
        output: &mut Output,
        plaintext: &mut dyn FnMut(&[u8]),
    ) -> Processed {
        match self {
            Self::Server(connection) => process(connection, incoming, output, plaintext, None),
            Self::Client(connection) => process(connection, incoming, output, plaintext, None),
        }
    }

    /// Appends the alert that follows an error to `output`. Nothing else may be done with the connection then.
    pub(crate) fn alert(&mut self, output: &mut Output) {
        while self.negotiated().wants_write() {
            let _ = self.process(&mut [], output, &mut |_| {});
        }
    }

    /// Appends `message` to `output`, after what the protocol has to send before. Processes `incoming` as
    /// [`process`](Self::process) does until our side can encrypt: rustls keeps positions of a handshake message that
    /// has not come completely. Returns whether the peer's close_notify was among them.
    pub(crate) fn encrypt(
        &mut self,
        message: Message<'_>,
        incoming: &mut Vec<u8>,
        output: &mut Output,
        plaintext: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, Error> {
        let mut peer_closed = false;
        loop {
            let Processed { discard, step } = match self {
                Self::Server(connection) => process(connection, incoming, output, plaintext, Some(message)),
                Self::Client(connection) => process(connection, incoming, output, plaintext, Some(message)),
            };
            incoming.drain(..discard);
            match step? {
                Step::Progress => {}
                Step::PeerClosed => peer_closed = true,
                Step::Encrypted => return Ok(peer_closed),
                Step::Blocked => return Err(Error::HandshakeNotComplete),
            }
        }
    }
}

/// What our side encrypts.
#[derive(Clone, Copy)]
pub(crate) enum Message<'a> {
    /// Application data.
    Data(&'a [u8]),
    /// The end of our side.
    CloseNotify,
}

/// Records for the peer. The buffer keeps its size when it is cleared.
#[derive(Default)]
pub(crate) struct Output {
    buffer: Vec<u8>,
    filled: usize,
}

impl Output {
    /// Returns the records.
    pub(crate) fn records(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    /// Replaces the alert in the last record, which is not encrypted (RFC 8446, section 6).
    pub(crate) fn replace_alert(&mut self, alert: AlertDescription) {
        if let Some(last) = self.buffer[..self.filled].last_mut() {
            *last = alert.into();
        }
    }

    /// Appends a fatal alert that is not encrypted (RFC 8446, section 6).
    pub(crate) fn add_alert(&mut self, alert: AlertDescription) {
        let record = [ALERT, 3, 3, 0, 2, FATAL, alert.into()];
        self.free(record.len())[..record.len()].copy_from_slice(&record);
        self.filled += record.len();
    }

    /// Removes the records.
    pub(crate) fn clear(&mut self) {
        self.filled = 0;
    }

    /// Returns the free part of the buffer, which is at least `size` bytes long.
    fn free(&mut self, size: usize) -> &mut [u8] {
        let needed = self.filled + size;
        if self.buffer.len() < needed {
            self.buffer.resize(needed, 0);
        }
        &mut self.buffer[self.filled..]
    }
}

/// Both sides of rustls's unbuffered connections.
trait Records {
    type Data;

    fn records<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Records for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn records<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
}

impl Records for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn records<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
}

fn process<R: Records>(
    connection: &mut R,
    incoming: &mut [u8],
    output: &mut Output,
    plaintext: &mut dyn FnMut(&[u8]),
    message: Option<Message<'_>>,
) -> Processed {
    let UnbufferedStatus { mut discard, state, .. } = connection.records(incoming);
    let step = state.and_then(|state| match state {
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                let record = record?;
                discard += record.discard;
                plaintext(record.payload);
            }
            Ok(Step::Progress)
        }
        ConnectionState::EncodeTlsData(mut data) => {
            let mut size = 0;
            loop {
                match data.encode(output.free(size)) {
                    Ok(count) => break output.filled += count,
                    Err(EncodeError::InsufficientSize(needed)) => size = needed.required_size,
                    Err(EncodeError::AlreadyEncoded) => break,
                }
            }
            Ok(Step::Progress)
        }
        // The caller sends the output before anything else.
        ConnectionState::TransmitTlsData(data) => {
            data.done();
            Ok(Step::Progress)
        }
        ConnectionState::WriteTraffic(mut traffic) => match message {
            Some(message) => write(&mut traffic, message, output).map(|()| Step::Encrypted),
            None => Ok(Step::Blocked),
        },
        ConnectionState::PeerClosed => Ok(Step::PeerClosed),
        ConnectionState::BlockedHandshake | ConnectionState::Closed => Ok(Step::Blocked),
        // Early data is never offered.
        _ => Err(Error::General("unexpected state".into())),
    });
    Processed { discard, step }
}

fn write<D>(
    traffic: &mut WriteTraffic<'_, D>,
    message: Message<'_>,
    output: &mut Output,
) -> Result<(), Error> {
    let mut size = match message {
        Message::Data(data) => data.len() + data.len().div_ceil(MAX_PLAINTEXT) * RECORD_OVERHEAD,
        Message::CloseNotify => RECORD_OVERHEAD,
    };
    loop {
        let free = output.free(size);
        let written = match message {
            Message::Data(data) => traffic.encrypt(data, free),
            Message::CloseNotify => traffic.queue_close_notify(free),
        };
        match written {
            Ok(count) => {
                output.filled += count;
                return Ok(());
            }
            Err(EncryptError::InsufficientSize(needed)) => size = needed.required_size,
            Err(EncryptError::EncryptExhausted) => return Err(Error::EncryptError),
        }
    }
}
