//! The PROXY protocol: a load balancer sends the client's address before the client's own bytes.
//!
//! HAProxy's document "The PROXY protocol" specifies a line of text (version 1) and a binary header (version 2). A
//! header does not prove its origin. So the caller of [`parse`] checks that the peer's address is that of a trusted
//! proxy, and then requires a header.
//!
//! The crate proxy-header reads and writes headers. This module finds where a header ends: headers come in pieces, and
//! the crate does not tell every beginning of a header from other bytes.
//!
//! ```
//! use proxymachine_engine::proxy_protocol::{Parsed, Version, header, parse};
//!
//! let client = "192.0.2.1:5000".parse().ok();
//! let balancer = "192.0.2.9:80".parse().ok();
//! let mut received = header(Version::One, client, balancer).to_vec();
//! received.extend(b"GET / HTTP/1.1\r\n");
//!
//! let Parsed::Header { header, len } = parse(&received) else { panic!() };
//! assert_eq!(header.source, client);
//! assert_eq!(&received[len..], b"GET / HTTP/1.1\r\n");
//! ```

mod error;
mod frame;
mod tlv;

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use proxy_header::{ParseConfig, ProxiedAddress, ProxyHeader};

pub use self::error::HeaderError;
pub use self::tlv::Tlv;

/// The result of parsing the bytes received so far.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The beginning of a header. The caller parses again when more bytes have come.
    Incomplete,
    /// A header, perhaps followed by the client's first bytes.
    Header {
        /// The header.
        header: Header,
        /// Length of the header; the bytes after it are the client's.
        len: usize,
    },
    /// The bytes are not a header, whatever follows.
    Invalid(HeaderError),
}

/// The contents of a header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// Address of the client. `None` for a connection of the load balancer itself (a health check) or for an
    /// address of another family: then the connection's own addresses count.
    pub source: Option<SocketAddr>,
    /// Address that the client connected to. `None` if `source` is.
    pub destination: Option<SocketAddr>,
    /// The TLVs of version 2.
    pub tlvs: Box<[Tlv]>,
}

/// The format of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    One,
    /// Binary.
    Two,
}

/// Parses the header at the beginning of `received`.
#[must_use]
pub fn parse(received: &[u8]) -> Parsed {
    let read = |len| match read(&received[..len]) {
        Ok(header) => Parsed::Header { header, len },
        Err(refusal) => Parsed::Invalid(refusal),
    };
    match frame::len(received) {
        Ok(len) => len.map_or(Parsed::Incomplete, read),
        Err(refusal) => Parsed::Invalid(refusal),
    }
}

/// Parses exactly one complete header.
fn read(bytes: &[u8]) -> Result<Header, HeaderError> {
    if frame::is_local(bytes) {
        return Ok(Header::default());
    }
    let parsed = ProxyHeader::parse(bytes, ParseConfig::default());
    let (header, _) = parsed.ok().filter(|&(_, len)| len == bytes.len()).ok_or(HeaderError::Address)?;
    let (source, destination) =
        header.proxied_address().map(|address| (address.source, address.destination)).unzip();
    let tlvs = if frame::is_binary(bytes) { tlv::read(bytes)? } else { Box::default() };
    Ok(Header { source, destination, tlvs })
}

/// Writes a header. If an address is missing, the header is UNKNOWN or LOCAL.
#[must_use]
pub fn header(version: Version, source: Option<SocketAddr>, destination: Option<SocketAddr>) -> Bytes {
    let header = source.zip(destination).map_or_else(ProxyHeader::with_local, |(source, destination)| {
        let (source, destination) = in_one_family(source, destination);
        ProxyHeader::with_address(ProxiedAddress::stream(source, destination))
    });
    let mut bytes = Vec::new();
    let written = match version {
        Version::One => header.encode_v1(&mut bytes),
        Version::Two => header.encode_v2(&mut bytes),
    };
    debug_assert!(written.is_ok(), "two TCP addresses of one family fit in either version");
    bytes.into()
}

/// Converts the addresses to one family, as a header requires: IPv4 if both are IPv4 or IPv4-mapped, else IPv6.
fn in_one_family(source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
    let ips = match (source.ip().to_canonical(), destination.ip().to_canonical()) {
        (IpAddr::V4(source), IpAddr::V6(destination)) => (source.to_ipv6_mapped().into(), destination.into()),
        (IpAddr::V6(source), IpAddr::V4(destination)) => (source.into(), destination.to_ipv6_mapped().into()),
        same => same,
    };
    (SocketAddr::new(ips.0, source.port()), SocketAddr::new(ips.1, destination.port()))
}
