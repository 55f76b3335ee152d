//! All counters at one moment: the data behind `/metrics`, `/status.json`, `/status.txt` and the page.
//!
//! Plain data. A counter that a process does not keep is absent or an empty list, not 0.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::certificates::CertificateStats;
use crate::failures::Failures;

pub use crate::upstreams::{ServerStats, UpstreamStats};

/// The source of the counters. The admin thread calls the source at any time, several times a second, so that
/// an implementation must wait neither for Ruby nor for an engine thread.
pub trait SnapshotSource: Send + Sync + 'static {
    /// Returns the current counters.
    fn snapshot(&self) -> Snapshot;

    /// Returns the current counters without those of an earlier process. Rates are computed from these:
    /// counters that are taken over in one piece would show as a burst.
    fn own_snapshot(&self) -> Snapshot {
        self.snapshot()
    }

    /// Returns whether new connections are accepted. Cheaper than a snapshot, since probes need only the
    /// state.
    fn state(&self) -> State;
}

/// All counters and facts that the admin address shows.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    /// Name, versions and process id.
    pub program: ProgramInfo,
    /// Whether new connections are accepted.
    pub state: State,
    /// Client connections of all listeners.
    pub connections: Connections,
    /// One entry for each configured address, in the order of the configuration.
    pub listeners: Vec<ListenerStats>,
    /// Lines of the log and of the access log that were lost.
    pub log_lines_dropped: Option<u64>,
    /// Counters by backend. Bounded: the busiest backends, and one entry called "other" for the rest.
    /// `/metrics` shows them only on request.
    pub remotes: Vec<BackendStats>,
    /// The upstreams of the config, in the order of their names.
    pub upstreams: Vec<UpstreamStats>,
    /// The last slow block calls, the newest first.
    pub slow: Vec<SlowCall>,
    /// The last connections that ended by an error. Those of an earlier process are not taken over.
    pub failures: Failures,
    /// Certificates that clients see. Those of an earlier process are not taken over.
    pub certificates: Vec<CertificateStats>,
    /// Connections by source and by key.
    pub limits: LimitStats,
    /// All settings, defaults included.
    pub settings: Vec<Setting>,
}

/// Name, versions and process id of the running program.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgramInfo {
    /// File name of the config.
    pub name: String,
    /// Version of ProxyMachine.
    pub version: String,
    /// Version of Ruby.
    pub ruby: String,
    /// Process id.
    pub pid: u32,
    /// Start time, in seconds since 1970.
    pub started: f64,
    /// Seconds since the start.
    pub uptime: f64,
}

/// Whether new connections are accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// New connections are not accepted yet.
    #[default]
    Starting,
    /// New connections are accepted.
    Running,
    /// New connections are no longer accepted, and the open ones are served to their end.
    Draining,
}

impl State {
    /// Returns the state as one lower-case word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Draining => "draining",
        }
    }
}

/// Client connections, as in the process title.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Connections {
    /// Connections that are open now.
    pub current: u64,
    /// Peak of `current`.
    pub max: u64,
    /// Connections accepted since the start.
    pub total: u64,
    /// Connections that may be open at once. None: no limit.
    pub limit: Option<u64>,
}

/// Counters of one listener.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ListenerStats {
    /// Name from the config, or the address if the config gives none.
    pub name: String,
    /// Address of the listening socket.
    pub address: String,
    /// Connections that are open now.
    pub current: u64,
    /// Connections accepted since the start.
    pub accepted: u64,
    /// Answers of the blocks by kind: `connect`, `close`, `wait`, `invalid`, `raised`.
    pub decisions: Vec<NamedCount>,
    /// Connections that ended, by termination code.
    pub ends: Vec<TerminationCount>,
    /// How often each limit was reached, by the name of its setting.
    pub limits: Vec<NamedCount>,
    /// Failed attempts to accept a client, by reason.
    #[serde(default)]
    pub accept_failures: Vec<NamedCount>,
    /// Rounds of connect attempts after the first one.
    pub retries: u64,
    /// Connections for which no backend could be reached.
    pub connect_failures: u64,
    /// The same by the reason of the last attempt: `refused`, `timeout` and so on.
    pub connect_failure_reasons: Vec<NamedCount>,
    /// Bytes from clients to backends.
    pub bytes_in: u64,
    /// Bytes from backends to clients.
    pub bytes_out: u64,
    /// Time that a call of a block waited for a Ruby thread.
    pub queue_wait: Histogram,
    /// Time in the block.
    pub block_time: Histogram,
    /// Time until a backend was connected, retries included.
    pub connect_time: Histogram,
    /// Time from the connection to the backend to the backend's first byte.
    pub first_byte: Histogram,
    /// TLS handshakes with clients and backends.
    pub tls: TlsStats,
}

/// Counters of TLS.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TlsStats {
    /// Handshakes by kind.
    pub handshakes: Vec<HandshakeCount>,
    /// Clients and backends that ended the connection without the close_notify that TLS asks for.
    pub truncated: u64,
    /// Time of successful handshakes.
    pub handshake_time: Histogram,
}

/// The number of TLS handshakes of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HandshakeCount {
    /// The other side: `client` or `server`.
    pub side: String,
    /// The version, such as `TLSv1.3`; empty if the handshake failed.
    pub version: String,
    /// Whether an earlier session was resumed.
    pub is_resumed: bool,
    /// Whether the handshake succeeded.
    pub is_ok: bool,
    /// Number of handshakes.
    pub count: u64,
}

/// A counter with a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NamedCount {
    /// Name of the counter.
    pub name: Cow<'static, str>,
    /// Value of the counter.
    pub count: u64,
}

/// Number of connections that ended with one termination code.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TerminationCount {
    /// Termination code: two letters, as in the access log.
    pub code: Cow<'static, str>,
    /// Meaning of the code.
    pub meaning: Cow<'static, str>,
    /// Why connections end so.
    pub cause: Cow<'static, str>,
    /// What to do about it.
    pub remedy: Cow<'static, str>,
    /// Whether the code stands for an error.
    pub is_error: bool,
    /// Number of connections.
    pub count: u64,
}

/// Durations in seconds, counted by size.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Histogram {
    /// Upper bound of each bucket, in seconds, ascending. All histograms of one name have equal bounds.
    pub bounds: Cow<'static, [f64]>,
    /// Durations in each bucket, not cumulative. The last bucket has no upper bound.
    pub counts: Vec<u64>,
    /// Sum of all durations.
    pub sum: f64,
}

/// Counters of one backend.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BackendStats {
    /// `host:port`, as a block named the backend.
    pub name: String,
    /// Connections that are open now.
    pub current: u64,
    /// Connections established since the start.
    pub connected: u64,
    /// Connect attempts that failed.
    pub failed: u64,
    /// Bytes to the backend.
    pub bytes_in: u64,
    /// Bytes from the backend.
    pub bytes_out: u64,
}

/// A slow call of a block. Contains nothing that the client sent.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SlowCall {
    /// Time when the block returned, in seconds since 1970.
    pub at: f64,
    /// Address of the client.
    pub client: String,
    /// Name of the listener.
    pub listener: String,
    /// Config verb of the block, such as `proxy`.
    pub block: Cow<'static, str>,
    /// Seconds that the call waited for a Ruby thread.
    pub queue_wait: f64,
    /// Seconds in the block.
    pub block_time: f64,
    /// The answer in a word: the backend, or the kind of the answer.
    pub answer: String,
}

/// Connections by source and by key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitStats {
    /// Sources with open connections. With several processes, a source counts once in each.
    pub sources: Option<u64>,
    /// Keys with open connections, likewise.
    pub keys: Option<u64>,
    /// Sources and keys that were over a limit in the last one or two minutes, the worst first.
    pub over: Vec<OverLimit>,
}

/// A source or key that was over a limit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OverLimit {
    /// The address, the network or the key.
    pub name: String,
    /// The setting that limits a source, or `limit` for the `:limit` of an answer.
    pub limit: Cow<'static, str>,
    /// The limit of one process.
    pub max: u64,
    /// Connections that are open now.
    pub current: u64,
    /// Connections that were closed for the limit.
    pub closed: u64,
}

/// A setting and its value.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Setting {
    /// Config verb of the setting.
    pub name: String,
    /// Value of the setting, in the config's notation.
    pub value: String,
}
