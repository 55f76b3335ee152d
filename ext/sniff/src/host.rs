//! Host names, IP addresses and authorities (RFC 3986), as several protocols carry them.
//!
//! Equal hosts have one normal form: a name in ASCII lower case without the dot of the DNS root at its end,
//! an IPv6 address as RFC 5952 writes it. A-labels (IDNA) stay as they are.

use std::fmt::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The longest name of the DNS in its text form, without the dot of the root (RFC 1035, section 2.3.4).
const MAX_NAME_SIZE: usize = 253;
const MAX_LABEL_SIZE: usize = 63;

/// A host name, compared without regard to ASCII case.
#[derive(Debug, Clone, Copy)]
pub struct Name<'a>(&'a str);

impl<'a> Name<'a> {
    /// Parses a host name: labels of letters, digits, `-`, `_` and `~`, with or without a dot after the last
    /// label. These are the characters that browsers, curl and resolvers accept; RFC 952 forbids some of
    /// these names. An IPv4 address is such a name, too.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let name = bytes.strip_suffix(b".").unwrap_or(bytes);
        let valid = name.len() <= MAX_NAME_SIZE && name.split(|&byte| byte == b'.').all(is_label);
        if valid { std::str::from_utf8(name).ok().map(Self) } else { None }
    }
}

fn is_label(label: &[u8]) -> bool {
    (1..=MAX_LABEL_SIZE).contains(&label.len())
        && label.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~'))
}

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(other.0)
    }
}

impl Eq for Name<'_> {}

/// Writes the normal form.
impl fmt::Display for Name<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return formatter.write_str(self.0);
        }
        self.0.chars().try_for_each(|letter| formatter.write_char(letter.to_ascii_lowercase()))
    }
}

/// The host that a client names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host<'a> {
    /// By its name.
    Name(Name<'a>),
    /// By its IPv4 address.
    V4(Ipv4Addr),
    /// By its IPv6 address.
    V6(Ipv6Addr),
}

/// Writes the normal form; an IPv6 address has no brackets.
impl fmt::Display for Host<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(formatter),
            Self::V4(address) => address.fmt(formatter),
            Self::V6(address) => address.fmt(formatter),
        }
    }
}

/// `host`, `host:port`, `[address]` or `[address]:port`, as in a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority<'a> {
    /// The authority as the client wrote it.
    pub text: &'a str,
    /// The name or address.
    pub host: Host<'a>,
    /// The port; None if there is none, or an empty one.
    pub port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Parses an authority. One with user information is invalid (RFC 9110, section 4.2.4).
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (host, port) = if let Some(bracketed) = text.strip_prefix('[') {
            let (literal, after) = bracketed.split_once(']')?;
            let port = if after.is_empty() { "" } else { after.strip_prefix(':')? };
            (Host::V6(parse_ipv6_literal(literal)?), port)
        } else {
            let (host, port) = text.split_once(':').unwrap_or((text, ""));
            (Host::Name(Name::parse(host.as_bytes())?), port)
        };
        Some(Self { text, host, port: parse_port(port)? })
    }
}

/// Parses an IPv6 address. Its zone (`fe80::1%25eth0`, RFC 6874) is dropped: a zone has a meaning on the
/// client's machine only.
fn parse_ipv6_literal(literal: &str) -> Option<Ipv6Addr> {
    let address = match literal.split_once('%') {
        Some((address, zone)) if is_zone(zone) => address,
        Some(_) => return None,
        None => literal,
    };
    address.parse().ok()
}

fn is_zone(zone: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'%');
    !zone.is_empty() && zone.bytes().all(allowed)
}

/// Parses a port, which RFC 3986 allows to be empty or to begin with zeros.
fn parse_port(text: &str) -> Option<Option<u16>> {
    if text.is_empty() {
        return Some(None);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok().map(Some) } else { None }
}
