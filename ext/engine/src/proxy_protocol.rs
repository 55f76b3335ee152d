//! The PROXY protocol: who the client of a load balancer is, said before the client's own bytes.
//!
//! HAProxy's document "The PROXY protocol" is its specification: a line of text (version 1) or a binary
//! header (version 2). Nothing in a header proves who sent it, so whoever calls [`parse`] knows by the
//! peer's address that it is a trusted load balancer, and then insists on a header.
//!
//! The crate proxy-header reads and writes headers. Here it is only told where one ends: a header comes
//! in pieces, and the crate does not tell every beginning of one from what is none.
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

mod frame;
mod tlv;

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use proxy_header::{ParseConfig, ProxiedAddress, ProxyHeader};

/// What the bytes received so far are.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The beginning of a header. It is read again when more has arrived: a sender cuts where it likes.
    Incomplete,
    /// A header, and perhaps the client's first bytes behind it.
    Header {
        /// What it says.
        header: Header,
        /// Its length: from here on the bytes are the client's.
        len: usize,
    },
    /// Whatever follows, this is no header.
    Refused(Refusal),
}

/// What a header says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// The client. None if the load balancer speaks for itself (a health check) or names no address
    /// of the internet: then the connection's own addresses count.
    pub source: Option<SocketAddr>,
    /// Where the client connected to. None whenever `source` is.
    pub destination: Option<SocketAddr>,
    /// What else version 2 tells.
    pub tlvs: Box<[Tlv]>,
}

/// A type, as the specification numbers them, and a value.
pub type Tlv = (u8, Box<[u8]>);

/// Why some bytes are no header. Displays as the end of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// They do not begin as one.
    #[error("no PROXY header")]
    Missing,
    /// Whoever sent it is not trusted. [`parse`] does not know that, its caller does.
    #[error("PROXY header from an address that is not trusted")]
    Untrusted,
    /// It is longer than any that makes sense.
    #[error("PROXY header too long")]
    TooLong,
    /// Version 2 only: neither LOCAL nor PROXY of that version.
    #[error("PROXY header of an unknown version or command")]
    Command,
    /// An address or a port is none, is cut off, or is of a family that is not in the specification.
    #[error("PROXY header with a malformed address")]
    Address,
    /// What follows the addresses is no sequence of TLVs.
    #[error("PROXY header with a malformed TLV")]
    Tlv,
    /// It was damaged on its way.
    #[error("PROXY header with a wrong checksum")]
    Checksum,
}

/// Which of the two formats to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A line of text.
    One,
    /// Binary.
    Two,
}

/// Reads the header at the beginning of `received`.
#[must_use]
pub fn parse(received: &[u8]) -> Parsed {
    let read = |len| match read(&received[..len]) {
        Ok(header) => Parsed::Header { header, len },
        Err(refusal) => Parsed::Refused(refusal),
    };
    match frame::len(received) {
        Ok(len) => len.map_or(Parsed::Incomplete, read),
        Err(refusal) => Parsed::Refused(refusal),
    }
}

/// Reads a header of which nothing is missing, and behind which nothing stands.
fn read(bytes: &[u8]) -> Result<Header, Refusal> {
    if frame::is_local(bytes) {
        return Ok(Header::default());
    }
    let parsed = ProxyHeader::parse(bytes, ParseConfig::default());
    let (header, _) = parsed.ok().filter(|&(_, len)| len == bytes.len()).ok_or(Refusal::Address)?;
    let (source, destination) =
        header.proxied_address().map(|address| (address.source, address.destination)).unzip();
    let tlvs = if frame::is_binary(bytes) { tlv::read(bytes)? } else { Box::default() };
    Ok(Header { source, destination, tlvs })
}

/// Writes a header. Without both addresses it says that there are none to tell: UNKNOWN or LOCAL.
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

/// IPv4 if both are, be it as IPv4-mapped IPv6: that is how a listener for both families sees them.
/// A header has one family, so otherwise both are IPv6.
fn in_one_family(source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
    let ips = match (source.ip().to_canonical(), destination.ip().to_canonical()) {
        (IpAddr::V4(source), IpAddr::V6(destination)) => (source.to_ipv6_mapped().into(), destination.into()),
        (IpAddr::V6(source), IpAddr::V4(destination)) => (source.into(), destination.to_ipv6_mapped().into()),
        same => same,
    };
    (SocketAddr::new(ips.0, source.port()), SocketAddr::new(ips.1, destination.port()))
}
