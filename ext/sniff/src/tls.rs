//! TLS: the ClientHello (RFC 8446, section 4.1.2, and older versions back to SSL 3.0).

use std::borrow::Cow;
use std::ops::Range;

use crate::SniffError;
use crate::cursor::Cursor;
use crate::host::Name;

/// The maximum size of a ClientHello in bytes, without the headers of its records.
pub const MAX_HELLO_SIZE: usize = 64 * 1024;

/// RFC 8446, section 5.1.
const MAX_FRAGMENT_SIZE: usize = 1 << 14;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const HEADER: usize = 4;

const SERVER_NAME: u16 = 0;
const APPLICATION_PROTOCOLS: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;
const HOST_NAME: u8 = 0;

/// The ClientHello of a TLS client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientHello<'a> {
    /// The body of the handshake message. It is a copy if the message is spread over several records.
    body: Cow<'a, [u8]>,
    legacy_version: u16,
    extensions: Extensions,
}

/// The positions in the body of the extensions' contents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Extensions {
    server_name: Option<Range<usize>>,
    protocols: Option<Range<usize>>,
    versions: Option<Range<usize>>,
}

impl ClientHello<'_> {
    /// Returns the server name indication (RFC 6066); None if there is none, or if it is not a host name.
    pub fn sni(&self) -> Option<Name<'_>> {
        Name::parse(self.raw_sni()?)
    }

    /// Returns the server name indication as the client wrote it, valid or not.
    pub fn raw_sni(&self) -> Option<&[u8]> {
        self.extensions.server_name.as_ref().map(|range| self.at(Some(range)))
    }

    /// Returns the protocols that the client offers by ALPN, without GREASE.
    pub fn alpn(&self) -> impl Iterator<Item = &[u8]> {
        let mut list = Cursor::new(self.at(self.extensions.protocols.as_ref()));
        std::iter::from_fn(move || vector8(&mut list).ok().map(|name| name.rest()))
            .filter(|name| !matches!(name, [a, b] if is_grease(u16::from_be_bytes([*a, *b]))))
    }

    /// Returns the versions that the client offers, without GREASE: those of the extension
    /// `supported_versions`, or the version field of older clients.
    pub fn versions(&self) -> impl Iterator<Item = u16> {
        let listed = self.extensions.versions.as_ref();
        let legacy = listed.is_none().then_some(self.legacy_version);
        let pairs = self.at(listed).chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        pairs.chain(legacy).filter(|&version| !is_grease(version))
    }

    fn at(&self, range: Option<&Range<usize>>) -> &[u8] {
        range.and_then(|range| self.body.get(range.clone())).unwrap_or_default()
    }
}

/// Returns the usual name of a version, if it has one.
pub fn version_name(version: u16) -> Option<&'static str> {
    match version {
        0x0300 => Some("SSL 3.0"),
        0x0301 => Some("TLS 1.0"),
        0x0302 => Some("TLS 1.1"),
        0x0303 => Some("TLS 1.2"),
        0x0304 => Some("TLS 1.3"),
        _ => None,
    }
}

/// RFC 8701: reserved values that clients send to keep servers tolerant of unknown ones.
fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && high & 0x0f == 0x0a
}

/// Parses the ClientHello at the start of `data`, in one record or several, and ignores the bytes after it.
///
/// ```
/// # use proxymachine_sniff::{SniffError, tls};
/// assert_eq!(tls::client_hello(b"\x16\x03\x01").err(), Some(SniffError::Incomplete));
/// assert_eq!(tls::client_hello(b"GET / HTTP/1.1").err(), Some(SniffError::Mismatch));
/// ```
///
/// # Errors
/// See [`SniffError`].
pub fn client_hello(data: &[u8]) -> Result<ClientHello<'_>, SniffError> {
    let body = message(data)?;
    let (legacy_version, extensions) = parse(Cursor::new(&body)).map_err(SniffError::in_complete_message)?;
    Ok(ClientHello { body, legacy_version, extensions })
}

/// Returns the body of the handshake message. It copies records only after the message is complete.
fn message(data: &[u8]) -> Result<Cow<'_, [u8]>, SniffError> {
    let mut records = Cursor::new(data);
    let first = fragment(&mut records)?;
    let mut header = Header::default();
    header.fill(first);
    let mut seen = first.len();
    while seen < header.message_size()? {
        let next = fragment(&mut records)?;
        header.fill(next);
        seen += next.len();
    }
    let size = header.message_size()?;
    if let Some(message) = first.get(..size) {
        return Ok(Cow::Borrowed(&message[HEADER..]));
    }
    let mut message = Vec::with_capacity(size);
    let mut records = Cursor::new(data);
    while message.len() < size {
        let next = fragment(&mut records)?;
        message.extend_from_slice(&next[..next.len().min(size - message.len())]);
    }
    message.drain(..HEADER);
    Ok(Cow::Owned(message))
}

/// Takes the next record and returns the part of its content that has been received.
fn fragment<'a>(records: &mut Cursor<'a>) -> Result<&'a [u8], SniffError> {
    records.expect(&[HANDSHAKE, 3])?;
    records.u8()?; // legacy minor version, to be ignored (RFC 8446, section 5.1)
    let length = usize::from(records.u16()?);
    if (1..=MAX_FRAGMENT_SIZE).contains(&length) {
        Ok(records.take_up_to(length))
    } else {
        Err(SniffError::Mismatch)
    }
}

/// The header of the handshake message, which may be spread over several records.
#[derive(Default)]
struct Header {
    bytes: [u8; HEADER],
    filled: usize,
}

impl Header {
    fn fill(&mut self, fragment: &[u8]) {
        let free = &mut self.bytes[self.filled..];
        let count = free.len().min(fragment.len());
        free[..count].copy_from_slice(&fragment[..count]);
        self.filled += count;
    }

    /// Returns the size of the message with its header, or the size of the header while that is incomplete.
    fn message_size(&self) -> Result<usize, SniffError> {
        if self.filled > 0 && self.bytes[0] != CLIENT_HELLO {
            return Err(SniffError::Mismatch);
        }
        if self.filled < HEADER {
            return Ok(HEADER);
        }
        let [_, a, b, c] = self.bytes;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        if length <= MAX_HELLO_SIZE { Ok(HEADER + length) } else { Err(SniffError::Mismatch) }
    }
}

fn parse(mut body: Cursor<'_>) -> Result<(u16, Extensions), SniffError> {
    let legacy_version = body.u16()?;
    if legacy_version >> 8 != 3 {
        return Err(SniffError::Mismatch);
    }
    body.take(32)?; // random
    vector8(&mut body)?; // session id
    vector16(&mut body)?; // cipher suites
    vector8(&mut body)?; // compression methods
    let mut found = Extensions::default();
    if body.is_empty() {
        return Ok((legacy_version, found)); // TLS 1.0 and older: extensions are optional
    }
    let mut list = vector16(&mut body)?;
    expect_end(&body)?;
    while !list.is_empty() {
        let kind = list.u16()?;
        let content = vector16(&mut list)?;
        match kind {
            SERVER_NAME => once(&mut found.server_name, server_name(content)?)?,
            APPLICATION_PROTOCOLS => once(&mut found.protocols, protocols(content)?)?,
            SUPPORTED_VERSIONS => once(&mut found.versions, versions(content)?)?,
            _ => {}
        }
    }
    Ok((legacy_version, found))
}

fn server_name(mut content: Cursor<'_>) -> Result<Range<usize>, SniffError> {
    let mut list = vector16(&mut content)?;
    expect_end(&content)?;
    let mut found = None;
    while !list.is_empty() {
        let kind = list.u8()?;
        let name = vector16(&mut list)?;
        if kind == HOST_NAME {
            once(&mut found, name.range())?;
        }
    }
    found.ok_or(SniffError::Mismatch)
}

fn protocols(mut content: Cursor<'_>) -> Result<Range<usize>, SniffError> {
    let list = vector16(&mut content)?;
    expect_end(&content)?;
    let mut names = list.clone();
    while !names.is_empty() {
        if vector8(&mut names)?.is_empty() {
            return Err(SniffError::Mismatch);
        }
    }
    Ok(list.range())
}

fn versions(mut content: Cursor<'_>) -> Result<Range<usize>, SniffError> {
    let list = vector8(&mut content)?;
    expect_end(&content)?;
    if list.rest().len() % 2 == 0 { Ok(list.range()) } else { Err(SniffError::Mismatch) }
}

/// Stores `value`. A second value is a mismatch, since a server may use the other one.
fn once<T>(place: &mut Option<T>, value: T) -> Result<(), SniffError> {
    if place.replace(value).is_some() { Err(SniffError::Mismatch) } else { Ok(()) }
}

fn expect_end(cursor: &Cursor<'_>) -> Result<(), SniffError> {
    if cursor.is_empty() { Ok(()) } else { Err(SniffError::Mismatch) }
}

/// Takes a vector with a length of one byte.
fn vector8<'a>(cursor: &mut Cursor<'a>) -> Result<Cursor<'a>, SniffError> {
    let length = cursor.u8()?;
    cursor.sub_cursor(length.into())
}

/// Takes a vector with a length of two bytes.
fn vector16<'a>(cursor: &mut Cursor<'a>) -> Result<Cursor<'a>, SniffError> {
    let length = cursor.u16()?;
    cursor.sub_cursor(length.into())
}
