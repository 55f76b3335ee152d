//! Why a connection ended: the reason as the engine knows it, and the two letters of the access log.

use std::sync::Arc;
use std::time::Duration;

use crate::Remote;
use crate::limits::{LimitKey, SourceLimit};
use crate::proxy_protocol::HeaderError;
use crate::router::verdict::RouterFault;
use crate::tls::HandshakeError;

pub use codes::{CodeInfo, TerminationCode};
pub use reason::{DialError, Reason};

pub mod codes;
pub mod reason;

/// Why a connection ended. Each connection ends once, for one of these reasons, unless a drain cuts the
/// connection off ([`Observer::connection_cut_off`](crate::Observer::connection_cut_off)).
#[derive(Debug, Clone)]
pub enum End {
    /// The client left, by FIN or RST, before the router had decided.
    ClientLeft,
    /// The client's source is over a limit.
    SourceLimit {
        /// The limit.
        limit: SourceLimit,
        /// The value of the limit.
        max: u32,
    },
    /// A key of the route has as many connections as it may have.
    KeyLimit {
        /// The key.
        key: LimitKey,
        /// The limit.
        max: u32,
    },
    /// The router closed the connection.
    ClosedByRouter,
    /// The router could not decide.
    RouterFailed {
        /// Why the router could not decide.
        fault: RouterFault,
    },
    /// The client sent `Config::max_preread` bytes and the router still wanted more.
    PrereadFull {
        /// The limit, in bytes.
        limit: usize,
    },
    /// `Config::decision_timeout` passed without a decision.
    DecisionTimeout {
        /// The limit.
        limit: Duration,
        /// Whether the client had sent nothing.
        is_silent: bool,
    },
    /// The listener expects a PROXY header of this client and received something else, or an untrusted
    /// client sent a header.
    BadHeader {
        /// The error in the header.
        reason: HeaderError,
    },
    /// The TLS handshake with the client failed.
    TlsFailed {
        /// Why the handshake failed.
        error: HandshakeError,
    },
    /// The router answered in clear before TLS, and the client had sent more in clear than the router knew.
    ClearBeforeTls {
        /// Number of bytes that the router did not know.
        count: u64,
    },
    /// The client was still undecided when a drain had no more time for it.
    Undecided,
    /// No attempt to connect succeeded. [`Observer::connect_failed`](crate::Observer::connect_failed) has
    /// reported the attempts.
    ConnectFailed,
    /// No server of an upstream had room in time. [`Observer::upstream_full`](crate::Observer::upstream_full) has reported
    /// that.
    UpstreamFull {
        /// The name of the upstream.
        upstream: Arc<str>,
    },
    /// A check found the server of an upstream down, which ends its sessions.
    ServerDown {
        /// The server.
        remote: Remote,
    },
    /// The backend closed before it had sent a byte.
    ClosedPrematurely {
        /// The backend that closed.
        remote: Remote,
        /// Whether the backend reset the connection.
        is_reset: bool,
    },
    /// The backend did not send its first byte in time.
    Inactive {
        /// The silent backend.
        remote: Remote,
        /// Time since the connect.
        elapsed: Duration,
        /// The limit that the backend exceeded.
        limit: Duration,
    },
    /// `Config::idle_timeout` passed without traffic.
    Idle {
        /// The backend.
        remote: Remote,
        /// The limit.
        limit: Duration,
    },
    /// The client left before the backend had answered. A failure of the backend is not reported then.
    ClientLeftFirst,
    /// The backend has answered, and both sides are done or one of them was reset.
    Relayed,
    /// The engine itself failed: a defect.
    Failed,
}
