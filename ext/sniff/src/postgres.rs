//! PostgreSQL: what a client sends before it is authenticated ("Start-up" in "Message Flow" of its manual).

use crate::Miss;
use crate::cursor::Cursor;

/// Bytes of the longest message that is read, as of the server itself; a longer one is foreign.
pub const LONGEST_MESSAGE: usize = 10_000;

/// PostgreSQL 18 made the key of a cancel request longer, up to this.
const LONGEST_KEY: usize = 256;

const HEADER: usize = 8;
/// Where the version's major number stands, the requests that are no start-up have this.
const REQUESTS: u16 = 1234;
const CANCEL: u16 = 5678;
const SSL: u16 = 5679;
const GSSENC: u16 = 5680;

/// How a client begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Startup<'a> {
    /// The message that counts.
    pub message: Message<'a>,
    /// Where it begins: above zero if requests for encryption stand before it.
    pub offset: usize,
    /// The bytes that it takes from there.
    pub size: usize,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// The client says who it is.
    Startup(Parameters<'a>),
    /// May it go on in TLS? It waits for one byte, `S` or `N`.
    SslRequest,
    /// May it go on in GSSAPI? It waits for one byte, `G` or `N`.
    GssEncRequest,
    /// On a connection of its own: stop the query of that process.
    Cancel {
        /// The number that the server gave its connection.
        process_id: u32,
        /// What proves that it may.
        key: &'a [u8],
    },
}

/// What a client says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters<'a> {
    /// The minor number of the protocol's version 3.
    pub minor_version: u16,
    /// Names and values, each with a zero byte behind it; checked to be that.
    pairs: &'a [u8],
}

impl<'a> Parameters<'a> {
    /// The names and their values, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut words = self.pairs.split(|&byte| byte == 0);
        std::iter::from_fn(move || Some((words.next().filter(|name| !name.is_empty())?, words.next()?)))
    }

    /// The value that the server takes for `name`: the last one.
    pub fn get(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.iter().filter(|(key, _)| *key == name).last().map(|(_, value)| value)
    }

    /// The user that it wants to be.
    pub fn user(&self) -> &'a [u8] {
        self.get(b"user").unwrap_or_default()
    }

    /// The database that it wants; that of its user's name if it does not say.
    pub fn database(&self) -> &'a [u8] {
        self.get(b"database").filter(|name| !name.is_empty()).unwrap_or(self.user())
    }
}

/// Reads what `data` begins with. A request for encryption counts while nothing follows it; then it has been
/// answered with `N`, and what follows counts. There may be one of each kind.
///
/// ```
/// # use proxymachine_sniff::postgres::{Message, startup};
/// let data = b"\0\0\0\x1F\0\x03\0\0user\0alice\0database\0a\0\0";
/// let Message::Startup(parameters) = startup(data).unwrap().message else { panic!() };
/// assert_eq!(parameters.database(), b"a");
/// ```
///
/// # Errors
/// See [`Miss`]. A start-up message without a user is foreign.
pub fn startup(data: &[u8]) -> Result<Startup<'_>, Miss> {
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
            return Err(Miss::Foreign);
        }
        let question = matches!(message, Message::SslRequest | Message::GssEncRequest);
        if !question || cursor.is_empty() {
            return Ok(Startup { message, offset, size: cursor.position() - offset });
        }
    }
}

fn message<'a>(cursor: &mut Cursor<'a>) -> Result<Message<'a>, Miss> {
    cursor.expect(&[0, 0])?;
    let length = usize::from(cursor.u16()?);
    if !(HEADER..=LONGEST_MESSAGE).contains(&length) {
        return Err(Miss::Foreign);
    }
    let rest = length - HEADER;
    match cursor.u16()? {
        3 => {
            let minor_version = cursor.u16()?;
            let pairs = cursor.take(rest)?;
            let parameters = Parameters { minor_version, pairs };
            check(pairs).map_err(Miss::inside)?;
            if parameters.user().is_empty() { Err(Miss::Foreign) } else { Ok(Message::Startup(parameters)) }
        }
        REQUESTS => match (cursor.u16()?, rest) {
            (SSL, 0) => Ok(Message::SslRequest),
            (GSSENC, 0) => Ok(Message::GssEncRequest),
            (CANCEL, 8..) if rest <= 4 + LONGEST_KEY => {
                Ok(Message::Cancel { process_id: cursor.u32()?, key: cursor.take(rest - 4)? })
            }
            _ => Err(Miss::Foreign),
        },
        _ => Err(Miss::Foreign),
    }
}

/// Names and values in turn, then an empty name.
fn check(pairs: &[u8]) -> Result<(), Miss> {
    let mut cursor = Cursor::new(pairs);
    while !cursor.until(0, LONGEST_MESSAGE)?.is_empty() {
        cursor.until(0, LONGEST_MESSAGE)?;
    }
    if cursor.is_empty() { Ok(()) } else { Err(Miss::Foreign) }
}
