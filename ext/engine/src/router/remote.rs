//! The address of a backend: `host:port`, `unix:/path` or `unix:@name`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

/// A backend's address. Displays as it was written, for log lines and callbacks. Cheap to clone.
///
/// ```
/// use proxymachine_engine::Remote;
/// let remote: Remote = "[::1]: 80 ".parse().unwrap();
/// assert_eq!((remote.host(), remote.port()), ("::1", 80));
/// assert_eq!(remote.to_string(), "[::1]: 80 ");
///
/// let remote: Remote = "unix:/run/app.sock".parse().unwrap();
/// assert_eq!(remote.unix(), Some("/run/app.sock"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote(Arc<Parsed>);

#[derive(Debug, PartialEq, Eq)]
struct Parsed {
    written: Box<str>,
    /// 0 for a Unix socket.
    port: u16,
    /// Set if the host is an address literal.
    address: Option<IpAddr>,
}

/// Why a text is not a [`Remote`]. Displays as the end of the sentence "invalid remote: …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRemote {
    /// The text has no colon, or nothing after it.
    #[error("it has no port")]
    NoPort,
    /// The text has nothing before the last colon.
    #[error("it has no host")]
    NoHost,
    /// The host is neither a name nor an address.
    #[error("its host is no name and no address")]
    BadHost,
    /// The text after the last colon is not a number between 1 and 65535.
    #[error("its port is not between 1 and 65535")]
    BadPort,
    /// The text after `unix:` is neither a path nor a name.
    #[error("unix: stands before a path from / or a name after @")]
    NoPath,
    /// The path or name of a Unix socket is longer than an address can hold.
    #[error("its path is longer than {MAX_UNIX} bytes")]
    LongPath,
}

/// Limit of a Unix socket's path or name, in bytes (unix(7), `sun_path` without its end).
pub(crate) const MAX_UNIX: usize = 107;

/// Returns the path in `unix:/path`, or the abstract name with its `@` in `unix:@name`.
pub(crate) fn unix_path(text: &str) -> Option<&str> {
    text.strip_prefix("unix:").filter(|path| path.starts_with(['/', '@']))
}

impl Remote {
    /// Returns the address as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.written
    }

    /// Returns the path of a Unix socket, or its abstract name after an `@`.
    #[must_use]
    pub fn unix(&self) -> Option<&str> {
        if self.0.port == 0 { unix_path(&self.0.written) } else { None }
    }

    /// Returns the name or address without brackets; empty for a Unix socket.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.written.rsplit_once(':').map_or("", |(host, _)| unbracketed(host.trim()))
    }

    /// Returns the port, 1 to 65535; 0 for a Unix socket.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// Returns the socket address if the host is an address literal, which needs no resolver.
    #[must_use]
    pub fn literal(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.0.address?, self.0.port))
    }
}

/// Displays as an address literal with its port.
impl From<SocketAddr> for Remote {
    fn from(address: SocketAddr) -> Self {
        let parsed =
            Parsed { written: address.to_string().into(), port: address.port(), address: Some(address.ip()) };
        Self(Arc::new(parsed))
    }
}

impl FromStr for Remote {
    type Err = InvalidRemote;

    /// Splits at the last colon, so that a bare IPv6 address works: `::1:80`.
    fn from_str(text: &str) -> Result<Self, InvalidRemote> {
        let text = text.trim_matches(|c: char| c.is_ascii_control());
        if let Some(path) = unix_path(text) {
            return match path.len() {
                1 => Err(InvalidRemote::NoPath),
                _ if path.contains(ends_a_line) => Err(InvalidRemote::BadHost),
                length if length > MAX_UNIX => Err(InvalidRemote::LongPath),
                _ => Ok(Self(Arc::new(Parsed { written: text.into(), port: 0, address: None }))),
            };
        }
        let (host, port) = text.rsplit_once(':').ok_or(InvalidRemote::NoPort)?;
        let port = port.trim();
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        if host == "unix" && (port.is_empty() || !is_number) {
            return Err(InvalidRemote::NoPath);
        }
        if port.is_empty() {
            return Err(InvalidRemote::NoPort);
        }
        let port = match port.parse() {
            Ok(port @ 1..) if is_number => port,
            _ => return Err(InvalidRemote::BadPort),
        };
        let host = unbracketed(host.trim());
        if host.is_empty() {
            return Err(InvalidRemote::NoHost);
        }
        let is_odd = |c: char| ends_a_line(c) || c.is_whitespace() || "[]/,".contains(c);
        if host.contains(is_odd) || text.contains(ends_a_line) {
            return Err(InvalidRemote::BadHost);
        }
        Ok(Self(Arc::new(Parsed { written: text.into(), port, address: host.parse().ok() })))
    }
}

/// Removes the brackets of an IPv6 address.
fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Tells whether a character would break a log line or a terminal.
fn ends_a_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(String, u16), InvalidRemote> {
        text.parse().map(|remote: Remote| (remote.host().to_owned(), remote.port()))
    }

    #[test]
    fn splits_at_the_last_colon() {
        assert_eq!(parse("10.0.0.1:80"), Ok(("10.0.0.1".into(), 80)));
        assert_eq!(parse("name:65535"), Ok(("name".into(), 65535)));
        assert_eq!(parse("[::1]:80"), Ok(("::1".into(), 80)));
        assert_eq!(parse("::1:80"), Ok(("::1".into(), 80)));
    }

    #[test]
    fn ignores_blanks_around_the_port() {
        assert_eq!(parse("name: 80 "), Ok(("name".into(), 80)));
        assert_eq!(parse("name :80\n"), Ok(("name".into(), 80)));
    }

    #[test]
    fn tells_invalid_remotes_apart() {
        assert_eq!(parse(""), Err(InvalidRemote::NoPort));
        assert_eq!(parse("name"), Err(InvalidRemote::NoPort));
        assert_eq!(parse("name:"), Err(InvalidRemote::NoPort));
        assert_eq!(parse(":80"), Err(InvalidRemote::NoHost));
        assert_eq!(parse("[]:80"), Err(InvalidRemote::NoHost));
        for host in ["a b", "[::1", "::1]", "[[::1]]", "http://a", "a:1,b"] {
            assert_eq!(parse(&format!("{host}:80")), Err(InvalidRemote::BadHost), "{host}");
        }
        assert_eq!(parse("a\0b:80"), Err(InvalidRemote::BadHost));
        assert_eq!(parse("a\u{85}b:80"), Err(InvalidRemote::BadHost));
        assert_eq!(parse("name:\u{2028}80"), Err(InvalidRemote::BadHost));
        for port in ["0", "65536", "http", "+80", "-1", "8 0", "99999999999999999999"] {
            assert_eq!(parse(&format!("name:{port}")), Err(InvalidRemote::BadPort), "{port}");
        }
    }

    #[test]
    fn displays_as_written_without_a_line_end() {
        assert_eq!("::1: 80 ".parse::<Remote>().unwrap().to_string(), "::1: 80 ");
        assert_eq!("[::1]:080\n".parse::<Remote>().unwrap().to_string(), "[::1]:080");
    }

    #[test]
    fn tells_unix_sockets_from_a_host_called_unix() {
        let unix = |text: &str| text.parse().map(|remote: Remote| remote.unix().map(str::to_owned));
        assert_eq!(unix("unix:/run/a b.sock"), Ok(Some("/run/a b.sock".into())));
        assert_eq!(unix("unix:@name:80"), Ok(Some("@name:80".into())));
        assert_eq!(unix("unix:80"), Ok(None));
        assert_eq!(parse("unix:80"), Ok(("unix".into(), 80)));
        for text in ["unix:", "unix:/", "unix:@", "unix:app.sock"] {
            assert_eq!(unix(text), Err(InvalidRemote::NoPath), "{text}");
        }
        assert_eq!(unix("unix:@a\0b"), Err(InvalidRemote::BadHost));
        assert!(unix(&format!("unix:/{}", "x".repeat(MAX_UNIX - 1))).is_ok());
        assert_eq!(unix(&format!("unix:/{}", "x".repeat(MAX_UNIX))), Err(InvalidRemote::LongPath));
    }

    #[test]
    fn recognizes_address_literals() {
        assert!("127.0.0.1:80".parse::<Remote>().unwrap().literal().is_some());
        assert!("[::1]:80".parse::<Remote>().unwrap().literal().is_some());
        assert!("localhost:80".parse::<Remote>().unwrap().literal().is_none());
    }
}
