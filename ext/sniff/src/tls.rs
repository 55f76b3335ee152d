//! TLS: the ClientHello (RFC 8446, section 4.1.2, and its forerunners back to SSL 3.0).

use std::borrow::Cow;
use std::ops::Range;

use crate::cursor::Cursor;
use crate::{Miss, host};

/// Bytes of the longest ClientHello that is read; a longer one is foreign.
pub const LONGEST_HELLO: usize = 64 * 1024;

/// RFC 8446, section 5.1.
const LONGEST_FRAGMENT: usize = 1 << 14;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const HEADER: usize = 4;

const SERVER_NAME: u16 = 0;
const APPLICATION_PROTOCOLS: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;
const HOST_NAME: u8 = 0;

/// What a TLS client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientHello<'a> {
    /// Copied only if it came in several records.
    body: Cow<'a, [u8]>,
    legacy_version: u16,
    extensions: Extensions,
}

/// Where in the body they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Extensions {
    server_name: Option<Range<usize>>,
    protocols: Option<Range<usize>>,
    versions: Option<Range<usize>>,
}

impl ClientHello<'_> {
    /// The host that the client wants to talk to, as it wrote it. None if it names none, or something that is
    /// no name of a host.
    pub fn sni(&self) -> Option<&str> {
        host::name(self.at(self.extensions.server_name.as_ref()))
    }

    /// The protocols that it offers by ALPN, without GREASE.
    pub fn alpn(&self) -> impl Iterator<Item = &[u8]> {
        let mut list = Cursor::new(self.at(self.extensions.protocols.as_ref()));
        std::iter::from_fn(move || vector8(&mut list).ok().map(|name| name.rest()))
            .filter(|name| !matches!(name, [a, b] if is_grease(u16::from_be_bytes([*a, *b]))))
    }

    /// The versions that it offers, without GREASE: those of the extension `supported_versions`, or the one
    /// that older clients have instead.
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

/// The usual name of a version, if it has one.
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

/// RFC 8701: values that mean nothing, there to keep servers from stumbling over unknown ones.
fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && high & 0x0f == 0x0a
}

/// Reads the ClientHello that `data` begins with. It may be spread over several records. What follows it is
/// not looked at.
///
/// ```
/// # use proxymachine_sniff::{Miss, tls};
/// assert_eq!(tls::client_hello(b"\x16\x03\x01").err(), Some(Miss::Incomplete));
/// assert_eq!(tls::client_hello(b"GET / HTTP/1.1").err(), Some(Miss::Foreign));
/// ```
///
/// # Errors
/// See [`Miss`].
pub fn client_hello(data: &[u8]) -> Result<ClientHello<'_>, Miss> {
    let body = message(data)?;
    let (legacy_version, extensions) = parse(Cursor::new(&body)).map_err(Miss::inside)?;
    Ok(ClientHello { body, legacy_version, extensions })
}

/// The body of the handshake message. First looks whether all of it is there, and copies nothing if not.
fn message(data: &[u8]) -> Result<Cow<'_, [u8]>, Miss> {
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

/// What there is of the next record's content.
fn fragment<'a>(records: &mut Cursor<'a>) -> Result<&'a [u8], Miss> {
    records.expect(&[HANDSHAKE, 3])?;
    records.u8()?; // RFC 8446: to be ignored
    let length = usize::from(records.u16()?);
    if (1..=LONGEST_FRAGMENT).contains(&length) { Ok(records.take_some(length)) } else { Err(Miss::Foreign) }
}

/// The header of the handshake message, which may itself be spread over several records.
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

    /// Bytes of the message with its header, or at least of what must be there to tell.
    fn message_size(&self) -> Result<usize, Miss> {
        if self.filled > 0 && self.bytes[0] != CLIENT_HELLO {
            return Err(Miss::Foreign);
        }
        if self.filled < HEADER {
            return Ok(HEADER);
        }
        let [_, a, b, c] = self.bytes;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        if length <= LONGEST_HELLO { Ok(HEADER + length) } else { Err(Miss::Foreign) }
    }
}

fn parse(mut body: Cursor<'_>) -> Result<(u16, Extensions), Miss> {
    let legacy_version = body.u16()?;
    if legacy_version >> 8 != 3 {
        return Err(Miss::Foreign);
    }
    body.take(32)?; // random
    vector8(&mut body)?; // the session
    vector16(&mut body)?; // cipher suites
    vector8(&mut body)?; // compression methods
    let mut found = Extensions::default();
    if body.is_empty() {
        return Ok((legacy_version, found)); // as old clients do
    }
    let mut list = vector16(&mut body)?;
    ended(&body)?;
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

fn server_name(mut content: Cursor<'_>) -> Result<Range<usize>, Miss> {
    let mut list = vector16(&mut content)?;
    ended(&content)?;
    let mut found = None;
    while !list.is_empty() {
        let kind = list.u8()?;
        let name = vector16(&mut list)?;
        if kind == HOST_NAME {
            once(&mut found, name.range())?;
        }
    }
    found.ok_or(Miss::Foreign)
}

fn protocols(mut content: Cursor<'_>) -> Result<Range<usize>, Miss> {
    let list = vector16(&mut content)?;
    ended(&content)?;
    let mut names = list.clone();
    while !names.is_empty() {
        if vector8(&mut names)?.is_empty() {
            return Err(Miss::Foreign);
        }
    }
    Ok(list.range())
}

fn versions(mut content: Cursor<'_>) -> Result<Range<usize>, Miss> {
    let list = vector8(&mut content)?;
    ended(&content)?;
    if list.rest().len() % 2 == 0 { Ok(list.range()) } else { Err(Miss::Foreign) }
}

/// Servers may take the last of two where we take the first; so two are none.
fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Miss> {
    if place.replace(value).is_some() { Err(Miss::Foreign) } else { Ok(()) }
}

fn ended(cursor: &Cursor<'_>) -> Result<(), Miss> {
    if cursor.is_empty() { Ok(()) } else { Err(Miss::Foreign) }
}

/// A list whose length is said in one byte before it.
fn vector8<'a>(cursor: &mut Cursor<'a>) -> Result<Cursor<'a>, Miss> {
    let length = cursor.u8()?;
    cursor.part(length.into())
}

/// A list whose length is said in two bytes before it.
fn vector16<'a>(cursor: &mut Cursor<'a>) -> Result<Cursor<'a>, Miss> {
    let length = cursor.u16()?;
    cursor.part(length.into())
}
