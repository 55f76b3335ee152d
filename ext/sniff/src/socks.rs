//! SOCKS: versions 4 and 4a (the memos of NEC), and 5 (RFC 1928).

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::Miss;
use crate::cursor::Cursor;
use crate::host::{self, Host};

/// Bytes of the longest user name and host name of a SOCKS 4 client; a longer one is foreign.
pub const LONGEST_WORD: usize = 255;

/// The method of SOCKS 5 that asks for no name and no password.
pub const NO_AUTHENTICATION: u8 = 0;

/// What a client has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said<'a> {
    /// SOCKS 5: only how it can authenticate itself. It waits for the choice.
    Greeting {
        /// The numbers of its methods.
        methods: &'a [u8],
    },
    /// Where it wants to go.
    Request(Request<'a>),
}

/// Where a client wants to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// 4 (4a too) or 5.
    pub version: u8,
    /// What is to be done there.
    pub command: Command,
    /// The host.
    pub host: Host<'a>,
    /// Its port.
    pub port: u16,
    /// SOCKS 4: who the client says it is.
    pub user: Option<&'a [u8]>,
    /// Bytes of the request, with the greeting before it; what follows is meant for the host.
    pub size: usize,
}

/// What a request can be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// To be connected with the host.
    Connect,
    /// To be connected with by the host.
    Bind,
    /// SOCKS 5: to exchange datagrams.
    UdpAssociate,
}

/// Reads what `data` begins with. A greeting counts while nothing follows it; then it has been answered, and
/// the request that follows counts.
///
/// ```
/// # use proxymachine_sniff::socks::{Said, request};
/// let Ok(Said::Request(request)) = request(b"\x04\x01\x00\x50\x0A\x00\x00\x01\x00") else { panic!() };
/// assert_eq!((request.host.to_string().as_str(), request.port), ("10.0.0.1", 80));
/// ```
///
/// # Errors
/// See [`Miss`]. A host name that is none makes a request foreign; so does whatever follows a greeting that
/// cannot do without authentication.
pub fn request(data: &[u8]) -> Result<Said<'_>, Miss> {
    let mut cursor = Cursor::new(data);
    match cursor.u8()? {
        4 => version_4(cursor).map(Said::Request),
        5 => version_5(cursor),
        _ => Err(Miss::Foreign),
    }
}

fn version_4(mut cursor: Cursor<'_>) -> Result<Request<'_>, Miss> {
    let command = match cursor.u8()? {
        1 => Command::Connect,
        2 => Command::Bind,
        _ => return Err(Miss::Foreign),
    };
    let port = cursor.u16()?;
    let address = Ipv4Addr::from(cursor.u32()?);
    let user = Some(cursor.until(0, LONGEST_WORD)?);
    // 4a: an address that cannot be says that the name follows.
    let host = match address.octets() {
        [0, 0, 0, last] if last != 0 => name(cursor.until(0, LONGEST_WORD)?)?,
        _ => Host::V4(address),
    };
    Ok(Request { version: 4, command, host, port, user, size: cursor.position() })
}

fn version_5(mut cursor: Cursor<'_>) -> Result<Said<'_>, Miss> {
    let count = cursor.u8()?;
    if count == 0 {
        return Err(Miss::Foreign);
    }
    let methods = cursor.take(count.into())?;
    if cursor.is_empty() {
        return Ok(Said::Greeting { methods });
    }
    if !methods.contains(&NO_AUTHENTICATION) {
        return Err(Miss::Foreign);
    }
    cursor.expect(&[5])?;
    let command = match cursor.u8()? {
        1 => Command::Connect,
        2 => Command::Bind,
        3 => Command::UdpAssociate,
        _ => return Err(Miss::Foreign),
    };
    cursor.expect(&[0])?;
    let host = match cursor.u8()? {
        1 => Host::V4(Ipv4Addr::from(cursor.u32()?)),
        3 => {
            let length = cursor.u8()?;
            name(cursor.take(length.into())?)?
        }
        4 => {
            let mut octets = [0; 16];
            octets.copy_from_slice(cursor.take(16)?);
            Host::V6(Ipv6Addr::from(octets))
        }
        _ => return Err(Miss::Foreign),
    };
    let port = cursor.u16()?;
    Ok(Said::Request(Request { version: 5, command, host, port, user: None, size: cursor.position() }))
}

/// Some clients write addresses where names belong.
fn name(bytes: &[u8]) -> Result<Host<'_>, Miss> {
    let address = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).map(Host::V6);
    address.or_else(|| host::name(bytes).map(Host::Name)).ok_or(Miss::Foreign)
}
