//! Names and addresses of hosts, as several protocols carry them.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// The host that a client names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host<'a> {
    /// By its name.
    Name(&'a str),
    /// By its IPv4 address.
    V4(Ipv4Addr),
    /// By its IPv6 address.
    V6(Ipv6Addr),
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::V4(address) => address.fmt(formatter),
            Self::V6(address) => address.fmt(formatter),
        }
    }
}

/// These bytes as the name of a host, if they are one: labels of letters, digits, `-` and `_`, which neither
/// begin nor end with `-`; a dot may follow the last. An IPv4 address is such a name, too.
pub fn name(bytes: &[u8]) -> Option<&str> {
    let labels = bytes.strip_suffix(b".").unwrap_or(bytes);
    let valid = labels.len() <= LONGEST_NAME && labels.split(|&byte| byte == b'.').all(is_label);
    if valid { std::str::from_utf8(bytes).ok() } else { None }
}

fn is_label(label: &[u8]) -> bool {
    (1..=LONGEST_LABEL).contains(&label.len())
        && label.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && !label.starts_with(b"-")
        && !label.ends_with(b"-")
}

/// `host`, `host:port`, `[address]` or `[address]:port`, as in a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority<'a> {
    /// All of it.
    pub text: &'a str,
    /// The name or address, without brackets.
    pub host: &'a str,
    /// The port, if there is one.
    pub port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads it; nothing if it is none.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (host, port) = if let Some(bracketed) = text.strip_prefix('[') {
            let (address, after) = bracketed.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            (address, if after.is_empty() { "" } else { after.strip_prefix(':')? })
        } else {
            let (host, port) = text.split_once(':').unwrap_or((text, ""));
            (name(host.as_bytes())?, port)
        };
        Some(Self { text, host, port: parse_port(port)? })
    }
}

/// RFC 3986 allows the port to be empty, behind its colon.
fn parse_port(text: &str) -> Option<Option<u16>> {
    if text.is_empty() {
        return Some(None);
    }
    let digits = text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok().map(Some) } else { None }
}
