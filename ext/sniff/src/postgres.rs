//! PostgreSQL: the messages of a client before authentication ("Start-up" in "Message Flow" of its manual).

use crate::SniffError;
use crate::cursor::Cursor;

/// The maximum size of a message in bytes, as in the server.
pub const MAX_MESSAGE_SIZE: usize = 10_000;

/// The maximum size of a cancel key in bytes, since PostgreSQL 18.
const MAX_KEY_SIZE: usize = 256;

const HEADER: usize = 8;
/// The number in place of the protocol's major version that marks messages other than a StartupMessage.
const REQUEST_CODE: u16 = 1234;
const CANCEL: u16 = 5678;
const SSL: u16 = 5679;
const GSSENC: u16 = 5680;

/// The first message of a client that is not answered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Startup<'a> {
    /// The message.
    pub message: Message<'a>,
    /// The message's offset in the data: above zero after requests for encryption.
    pub offset: usize,
    /// The size of the message in bytes.
    pub size: usize,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// StartupMessage: the user, the database and other parameters.
    Startup(Parameters<'a>),
    /// SSLRequest: the client asks for TLS and waits for one byte, `S` or `N`.
    SslRequest,
    /// GSSENCRequest: the client asks for GSSAPI encryption and waits for one byte, `G` or `N`.
    GssEncRequest,
    /// CancelRequest: the client asks, on a new connection, to cancel the query of another one.
    Cancel {
        /// The process id of the other connection's server process.
        process_id: u32,
        /// The secret key of the other connection.
        key: &'a [u8],
    },
}

/// The parameters of a StartupMessage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters<'a> {
    /// The minor number of the protocol's version 3.
    pub minor_version: u16,
    /// Names and values, each followed by a zero byte. `check` has validated them.
    pairs: &'a [u8],
}

impl<'a> Parameters<'a> {
    /// Returns names and values in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut strings = self.pairs.split(|&byte| byte == 0);
        std::iter::from_fn(move || Some((strings.next().filter(|name| !name.is_empty())?, strings.next()?)))
    }

    /// Returns the last value of `name`, as the server does.
    pub fn get(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.iter().filter(|(key, _)| *key == name).last().map(|(_, value)| value)
    }

    /// Returns the user's name.
    pub fn user(&self) -> &'a [u8] {
        self.get(b"user").unwrap_or_default()
    }

    /// Returns the name of the database; it defaults to the user's name.
    pub fn database(&self) -> &'a [u8] {
        self.get(b"database").filter(|name| !name.is_empty()).unwrap_or(self.user())
    }
}

/// Parses the message at the start of `data`. A request for encryption is returned while no byte follows it.
/// A byte after it means that it has been answered with `N`; then the next message is returned. There may be
/// one request of each kind.
///
/// ```
/// # use proxymachine_sniff::postgres::{Message, startup};
/// let data = b"\0\0\0\x1F\0\x03\0\0user\0alice\0database\0a\0\0";
/// let Message::Startup(parameters) = startup(data).unwrap().message else { panic!() };
/// assert_eq!(parameters.database(), b"a");
/// ```
///
/// # Errors
/// See [`SniffError`]. A StartupMessage without a user is a mismatch.
pub fn startup(data: &[u8]) -> Result<Startup<'_>, SniffError> {
    let (mut ssl, mut gssenc) = (false, false);
    let mut cursor = Cursor::new(data);
    loop {
        let offset = cursor.position();
        let message = message(&mut cursor)?;
        let repeated = match message {
            Message::SslRequest => std::mem::replace(&mut ssl, true),
            Message::GssEncRequest => std::mem::replace(&mut gssenc, true),
            Message::Startup(_) | Message::Cancel { .. } => false,
        };
        if repeated {
            return Err(SniffError::Mismatch);
        }
        let encryption = matches!(message, Message::SslRequest | Message::GssEncRequest);
        if !encryption || cursor.is_empty() {
            return Ok(Startup { message, offset, size: cursor.position() - offset });
        }
    }
}

fn message<'a>(cursor: &mut Cursor<'a>) -> Result<Message<'a>, SniffError> {
    cursor.expect(&[0, 0])?;
    let length = usize::from(cursor.u16()?);
    if !(HEADER..=MAX_MESSAGE_SIZE).contains(&length) {
        return Err(SniffError::Mismatch);
    }
    let rest = length - HEADER;
    match cursor.u16()? {
        3 => {
            let minor_version = cursor.u16()?;
            let pairs = cursor.take(rest)?;
            let parameters = Parameters { minor_version, pairs };
            check(pairs).map_err(SniffError::in_complete_message)?;
            if parameters.user().is_empty() {
                Err(SniffError::Mismatch)
            } else {
                Ok(Message::Startup(parameters))
            }
        }
        REQUEST_CODE => match (cursor.u16()?, rest) {
            (SSL, 0) => Ok(Message::SslRequest),
            (GSSENC, 0) => Ok(Message::GssEncRequest),
            (CANCEL, 8..) if rest <= 4 + MAX_KEY_SIZE => {
                Ok(Message::Cancel { process_id: cursor.u32()?, key: cursor.take(rest - 4)? })
            }
            _ => Err(SniffError::Mismatch),
        },
        _ => Err(SniffError::Mismatch),
    }
}

/// Checks that names and values alternate until an empty name.
fn check(pairs: &[u8]) -> Result<(), SniffError> {
    let mut cursor = Cursor::new(pairs);
    while !cursor.take_until(0, MAX_MESSAGE_SIZE)?.is_empty() {
        cursor.take_until(0, MAX_MESSAGE_SIZE)?;
    }
    if cursor.is_empty() { Ok(()) } else { Err(SniffError::Mismatch) }
}
