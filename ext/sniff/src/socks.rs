//! SOCKS: versions 4 and 4a (the memos of NEC), and 5 (RFC 1928).

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::SniffError;
use crate::cursor::Cursor;
use crate::host::{Host, Name};

/// The maximum size in bytes of the user id, and of the host name, in SOCKS 4.
pub const MAX_STRING_SIZE: usize = 255;

/// The SOCKS 5 method "no authentication required".
pub const NO_AUTHENTICATION: u8 = 0;

/// The message of a client that a proxy has to answer next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// SOCKS 5: the methods of authentication that the client supports. It waits for the proxy's choice.
    Greeting {
        /// The numbers of the methods.
        methods: &'a [u8],
    },
    /// The destination.
    Request(Request<'a>),
}

/// A request to relay a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// 4 (for 4a, too) or 5.
    pub version: u8,
    /// The command.
    pub command: Command,
    /// The destination's host.
    pub host: Host<'a>,
    /// The host as the client wrote it, if it sent text instead of an address in binary form.
    pub host_text: Option<&'a [u8]>,
    /// The destination's port.
    pub port: u16,
    /// SOCKS 4: the user id that the client claims.
    pub user: Option<&'a [u8]>,
    /// The size in bytes, the greeting included. The bytes after it are for the destination.
    pub size: usize,
}

/// The command of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Connect to the host.
    Connect,
    /// Accept a connection from the host.
    Bind,
    /// SOCKS 5: relay datagrams.
    UdpAssociate,
}

/// Parses the message at the start of `data`. A greeting is returned while no byte follows it. A byte after
/// it means that it has been answered; then the request is returned.
///
/// ```
/// # use proxymachine_sniff::socks::{Message, request};
/// let Ok(Message::Request(request)) = request(b"\x04\x01\x00\x50\x0A\x00\x00\x01\x00") else { panic!() };
/// assert_eq!((request.host.to_string().as_str(), request.port), ("10.0.0.1", 80));
/// ```
///
/// # Errors
/// See [`SniffError`]. A request with an invalid host name is a mismatch; so is any byte after a greeting
/// that lacks [`NO_AUTHENTICATION`].
pub fn request(data: &[u8]) -> Result<Message<'_>, SniffError> {
    let mut cursor = Cursor::new(data);
    match cursor.u8()? {
        4 => version_4(cursor).map(Message::Request),
        5 => version_5(cursor),
        _ => Err(SniffError::Mismatch),
    }
}

fn version_4(mut cursor: Cursor<'_>) -> Result<Request<'_>, SniffError> {
    let command = match cursor.u8()? {
        1 => Command::Connect,
        2 => Command::Bind,
        _ => return Err(SniffError::Mismatch),
    };
    let port = cursor.u16()?;
    let address = Ipv4Addr::from(cursor.u32()?);
    let user = Some(cursor.take_until(0, MAX_STRING_SIZE)?);
    // 4a: an address in 0.0.0.0/24 but 0.0.0.0 means that a host name follows.
    let (host, host_text) = match address.octets() {
        [0, 0, 0, last] if last != 0 => parse_host(cursor.take_until(0, MAX_STRING_SIZE)?)?,
        _ => (Host::V4(address), None),
    };
    Ok(Request { version: 4, command, host, host_text, port, user, size: cursor.position() })
}

fn version_5(mut cursor: Cursor<'_>) -> Result<Message<'_>, SniffError> {
    let count = cursor.u8()?;
    if count == 0 {
        return Err(SniffError::Mismatch);
    }
    let methods = cursor.take(count.into())?;
    if cursor.is_empty() {
        return Ok(Message::Greeting { methods });
    }
    if !methods.contains(&NO_AUTHENTICATION) {
        return Err(SniffError::Mismatch);
    }
    cursor.expect(&[5])?;
    let command = match cursor.u8()? {
        1 => Command::Connect,
        2 => Command::Bind,
        3 => Command::UdpAssociate,
        _ => return Err(SniffError::Mismatch),
    };
    cursor.expect(&[0])?;
    let (host, host_text) = match cursor.u8()? {
        1 => (Host::V4(Ipv4Addr::from(cursor.u32()?)), None),
        3 => {
            let length = cursor.u8()?;
            parse_host(cursor.take(length.into())?)?
        }
        4 => {
            let mut octets = [0; 16];
            octets.copy_from_slice(cursor.take(16)?);
            (Host::V6(Ipv6Addr::from(octets)), None)
        }
        _ => return Err(SniffError::Mismatch),
    };
    let port = cursor.u16()?;
    let size = cursor.position();
    Ok(Message::Request(Request { version: 5, command, host, host_text, port, user: None, size }))
}

/// Parses a host name. Some clients write an IPv6 address there, with or without the brackets of a URL.
fn parse_host(bytes: &[u8]) -> Result<(Host<'_>, Option<&[u8]>), SniffError> {
    let literal = bytes.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")).unwrap_or(bytes);
    let address = std::str::from_utf8(literal).ok().and_then(|text| text.parse().ok()).map(Host::V6);
    let host = address.or_else(|| Name::parse(bytes).map(Host::Name)).ok_or(SniffError::Mismatch)?;
    Ok((host, Some(bytes)))
}
