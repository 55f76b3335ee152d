//! The four forms of a request target (RFC 9112, section 3.2).

use crate::host::Authority;

/// A request target by its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// `/path?query`
    Origin(&'a [u8]),
    /// `scheme://authority/path?query`
    Absolute {
        /// The scheme.
        scheme: &'a [u8],
        /// The authority. It may be invalid.
        authority: &'a [u8],
        /// The path, which may be empty, and the query.
        path: &'a [u8],
    },
    /// `host:port`, for CONNECT only. It may be invalid.
    Authority(&'a [u8]),
    /// `*`, for OPTIONS only.
    Asterisk,
}

impl<'a> Target<'a> {
    /// Determines the form of `target`; None for a target of no form.
    pub fn parse(method: &str, target: &'a [u8]) -> Option<Self> {
        if method == "CONNECT" {
            return Some(Self::Authority(target));
        }
        match target {
            [b'/', ..] => Some(Self::Origin(target)),
            b"*" if method == "OPTIONS" => Some(Self::Asterisk),
            _ => {
                let colon = target.iter().position(|&byte| byte == b':')?;
                let scheme = &target[..colon];
                let rest = target[colon..].strip_prefix(b"://").filter(|_| is_scheme(scheme))?;
                let end = rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len());
                Some(Self::Absolute { scheme, authority: &rest[..end], path: &rest[end..] })
            }
        }
    }

    /// Returns the path without query and fragment; None for CONNECT.
    pub fn path(&self) -> Option<&'a [u8]> {
        let path = match *self {
            Self::Origin(path) | Self::Absolute { path, .. } => path,
            Self::Asterisk => b"*",
            Self::Authority(_) => return None,
        };
        let end = path.iter().position(|byte| b"?#".contains(byte)).unwrap_or(path.len());
        Some(if end == 0 { b"/" } else { &path[..end] })
    }

    /// Tells whether the target names a valid authority and the `Host` header another one, or none. RFC 9112
    /// has the target win, but many servers go by the header, and a client could choose what the proxy sees
    /// and what the server sees.
    pub fn contradicts(&self, host: &[u8]) -> bool {
        let (authority, default_port) = match *self {
            Self::Absolute { scheme, authority, .. } => (Authority::parse(authority), default_port(scheme)),
            Self::Authority(authority) => (Authority::parse(authority), None),
            Self::Origin(_) | Self::Asterisk => return false,
        };
        let Some(named) = authority else { return false };
        let Some(host) = Authority::parse(host) else { return true };
        // Clients send "CONNECT host:443" with "Host: host".
        let portless = matches!(self, Self::Authority(_)) && host.port.is_none();
        let same_port = portless || named.port.or(default_port) == host.port.or(default_port);
        named.host != host.host || !same_port
    }
}

/// RFC 3986, section 3.1.
fn is_scheme(scheme: &[u8]) -> bool {
    scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
}

fn default_port(scheme: &[u8]) -> Option<u16> {
    let is = |name: &[u8]| scheme.eq_ignore_ascii_case(name);
    if is(b"http") || is(b"ws") {
        Some(80)
    } else if is(b"https") || is(b"wss") {
        Some(443)
    } else {
        None
    }
}
