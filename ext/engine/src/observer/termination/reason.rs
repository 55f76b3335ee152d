//! Reasons: what made a connect attempt or a connection fail, as one word of a bounded set.

use std::fmt;
use std::io;

use crate::error::plain;

/// Why a connect attempt failed, or what the termination code does not say about an end. The words are in the access
/// log, in JSON log lines and in the labels of metrics, so that the set is bounded. A further kind of failure, such as
/// one of TLS or of a full backend, gets a variant of its own here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No process listens on the backend's port.
    Refused,
    /// The backend did not answer the connect in time.
    Timeout,
    /// No route leads to the backend, or the backend's socket file does not exist.
    Unreachable,
    /// The backend's name has no address, or the name servers did not answer in time.
    Resolve,
    /// The backend or a firewall reset the connection.
    Reset,
    /// This machine forbids the connect: a firewall rule or the permissions of a socket file.
    Denied,
    /// This machine had no descriptor, local port or memory left.
    Exhausted,
    /// The backend's address or the local address of the route cannot be used.
    Address,
    /// The TLS handshake with the backend failed.
    Tls,
    /// No server of the upstream was up.
    Down,
    /// No server of the upstream had room.
    Full,
    /// Another error of connect(2).
    Other,
    /// The backend closed the connection before it had sent a byte.
    Closed,
    /// The backend did not send its first byte in time.
    Inactive,
    /// The client had sent nothing when `decision_timeout` passed.
    Silent,
    /// The client had sent something, and the router waited for more.
    Undecided,
    /// The source had as many connections as it may have.
    SourceConnections,
    /// The source began connections faster than it may.
    SourceRate,
}

/// By `Reason`: the word, and its meaning.
const REASONS: [(&str, &str); Reason::COUNT] = [
    ("refused", "no process listens on the backend's port"),
    ("timeout", "the backend did not answer the connect within `:connect_timeout`"),
    ("unreachable", "no route leads to the backend, or its socket file does not exist"),
    ("resolve", "the backend's name has no address, or no name server answered within `:connect_timeout`"),
    ("reset", "the other side or a firewall reset the connection"),
    (
        "denied",
        "a firewall rule of this machine or the permissions of the backend's socket file forbid the connect",
    ),
    ("exhausted", "this machine had no descriptor, local port or memory left"),
    ("address", "the backend's address or `:local_host` cannot be used"),
    ("tls", "the TLS handshake with the backend failed; the log line says why"),
    ("down", "no server of the upstream was up, or a check found the server down (`:on_down => :close`)"),
    ("full", "no server of the upstream had room within `:queue_timeout`, or the queue was full"),
    ("other", "another error of connect(2), named in the log line"),
    ("closed", "the backend closed the connection before it had sent a byte"),
    ("inactive", "the backend did not send its first byte within `:inactivity_timeout`"),
    ("silent", "the client had sent nothing when `decision_timeout` passed"),
    ("undecided", "the client had sent something, and the block waited for more"),
    ("connections", "the source had `max_connections_per_source` open connections"),
    ("rate", "the source began more connections a second than `connection_rate_per_source`"),
];

impl Reason {
    /// Number of reasons.
    pub const COUNT: usize = 18;

    /// Number of reasons of failed connect attempts, which come first.
    pub const DIAL_COUNT: usize = Self::Other as usize + 1;

    /// Returns the word.
    #[must_use]
    pub fn word(self) -> &'static str {
        REASONS[self as usize].0
    }

    /// Lists all words and their meanings, those of failed connect attempts first.
    pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
        REASONS.into_iter()
    }

    /// Returns the reason that an error of socket(2), bind(2) or connect(2) stands for.
    fn of(error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        if is_starved(error) {
            return Self::Exhausted;
        }
        match error.raw_os_error() {
            Some(
                libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EHOSTDOWN | libc::ENOENT,
            ) => Self::Unreachable,
            Some(
                libc::EAFNOSUPPORT | libc::EINVAL | libc::EADDRINUSE | libc::EPROTOTYPE | libc::ENOTSOCK,
            ) => Self::Address,
            _ => match error.kind() {
                Kind::ConnectionRefused => Self::Refused,
                Kind::TimedOut => Self::Timeout,
                Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => Self::Reset,
                Kind::PermissionDenied => Self::Denied,
                Kind::InvalidInput | Kind::AddrNotAvailable => Self::Address,
                _ => Self::Other,
            },
        }
    }
}

/// A failed connect attempt. Displayed as the reason's word and the system's text.
#[derive(Debug)]
pub struct DialError {
    /// The reason.
    pub reason: Reason,
    /// The error of the system, of the resolver, or of the TLS handshake.
    pub error: io::Error,
}

impl DialError {
    /// Tells whether the backend is to blame, and not this machine or the route.
    pub(crate) fn is_of_backend(&self) -> bool {
        !matches!(self.reason, Reason::Exhausted | Reason::Address)
    }
}

impl From<io::Error> for DialError {
    fn from(error: io::Error) -> Self {
        Self { reason: Reason::of(&error), error }
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason.word(), plain(&self.error))
    }
}

/// Tells whether this machine had no descriptor, port or memory left, which is no fault of the backend.
pub(crate) fn is_starved(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::EADDRNOTAVAIL)
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_reason_has_its_own_word() {
        let words: HashSet<_> = Reason::all().map(|(word, _)| word).collect();
        assert_eq!(words.len(), Reason::COUNT);
        assert_eq!((Reason::Refused.word(), Reason::Other.word()), ("refused", "other"));
        assert_eq!((Reason::Closed.word(), Reason::Undecided.word()), ("closed", "undecided"));
    }

    #[test]
    fn errors_of_the_system_have_reasons() {
        let word = |errno| DialError::from(io::Error::from_raw_os_error(errno)).reason.word();
        assert_eq!([libc::ECONNREFUSED, libc::ETIMEDOUT].map(word), ["refused", "timeout"]);
        assert_eq!([libc::EHOSTUNREACH, libc::ENETUNREACH, libc::ENOENT].map(word), ["unreachable"; 3]);
        assert_eq!([libc::ECONNRESET, libc::EPERM, libc::EACCES].map(word), ["reset", "denied", "denied"]);
        assert_eq!([libc::EMFILE, libc::ENOBUFS, libc::EADDRNOTAVAIL].map(word), ["exhausted"; 3]);
        assert_eq!([libc::EINVAL, libc::EAFNOSUPPORT, libc::EIO].map(word), ["address", "address", "other"]);
    }
}
