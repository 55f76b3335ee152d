//! All there is to show, as it is at one moment: `/metrics`, `/status.json` and the page are made of it.
//!
//! Plain data. What is not counted is left out, as an empty list; it is not shown as 0.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A name that is known when this is compiled, or is not.
pub type Text = Cow<'static, str>;

/// Where the numbers come from. It is asked on the admin's own thread, at any time, several times a
/// second: it must neither wait for Ruby nor for an engine thread.
pub trait Source: Send + Sync + 'static {
    /// The numbers of now.
    fn snapshot(&self) -> Snapshot;

    /// The same without what an earlier process counted: rates are made of it, and what is taken over in one piece did
    /// not happen in that second.
    fn counted_here(&self) -> Snapshot {
        self.snapshot()
    }

    /// Whether new connections are welcome. Cheaper than a snapshot: probes ask this alone.
    fn state(&self) -> State;
}

/// Everything.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    /// The program that runs.
    pub program: Program,
    /// Whether new connections are welcome.
    pub state: State,
    /// All client connections.
    pub connections: Connections,
    /// Each one that was asked for, in that order.
    pub listeners: Vec<Listener>,
    /// Lines that were lost because the log could not take them.
    pub log_lines_dropped: Option<u64>,
    /// Bounded: the busiest, and at most one called "other" that sums the rest up. In `/metrics` only on
    /// request.
    pub remotes: Vec<Remote>,
    /// The last blocks that took long, the newest first.
    pub slow: Vec<Slow>,
    /// What is set, defaults included.
    pub settings: Vec<Setting>,
}

/// The program that runs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Program {
    /// What the config's file is called.
    pub name: String,
    /// Of ProxyMachine.
    pub version: String,
    /// Of Ruby.
    pub ruby: String,
    /// Process id.
    pub pid: u32,
    /// When it started, in seconds since 1970.
    pub started: f64,
    /// How long ago that is, in seconds.
    pub uptime: f64,
}

/// Whether new connections are welcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not yet.
    #[default]
    Starting,
    /// Yes.
    Running,
    /// No more: it waits for the open ones to end.
    Draining,
}

impl State {
    /// In one word.
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
    /// Open now.
    pub current: u64,
    /// The most that were open at once.
    pub max: u64,
    /// All that were ever accepted.
    pub total: u64,
    /// How many there may be at once; None is no limit.
    pub limit: Option<u64>,
}

/// What happened to the connections of one listener.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Listener {
    /// What the config calls it, else its address.
    pub name: String,
    /// Where it listens.
    pub address: String,
    /// Connections that are open now.
    pub current: u64,
    /// Connections that were ever accepted.
    pub accepted: u64,
    /// Answers of the blocks by kind: `connect`, `close`, `wait`, `invalid`, `raised`.
    pub decisions: Vec<Count>,
    /// Connections that ended, by termination code.
    pub ends: Vec<Ended>,
    /// What reached its limit, by the setting's name.
    pub limits: Vec<Count>,
    /// Rounds of connect attempts after the first one.
    pub retries: u64,
    /// Connections for which no backend could be reached.
    pub connect_failures: u64,
    /// Bytes from clients to backends.
    pub bytes_in: u64,
    /// Bytes from backends to clients.
    pub bytes_out: u64,
    /// Time that a question waited for a Ruby thread.
    pub queue_wait: Histogram,
    /// Time in the block.
    pub block_time: Histogram,
    /// Time until a backend was connected, retries included.
    pub connect_time: Histogram,
    /// Time from the backend's connect to its first byte.
    pub first_byte: Histogram,
}

/// How many there were of something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Count {
    /// Of what.
    pub name: Text,
    /// How many.
    pub count: u64,
}

/// How many connections ended for one reason.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Ended {
    /// Two letters, as in the access log.
    pub code: Text,
    /// What they mean.
    pub meaning: Text,
    /// Whether somebody should look into it.
    pub is_error: bool,
    /// How many.
    pub count: u64,
}

/// Durations in seconds, counted by size.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Histogram {
    /// The upper bound of each bucket, in seconds and ascending; the same for all histograms of one name.
    pub bounds: Cow<'static, [f64]>,
    /// How many were in each bucket, not below it; the last one is for what was above all bounds.
    pub counts: Vec<u64>,
    /// All durations together.
    pub sum: f64,
}

/// What happened with one backend.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Remote {
    /// As the config names it.
    pub name: String,
    /// Connections that are open now.
    pub current: u64,
    /// Connections that were ever established.
    pub connected: u64,
    /// Connect attempts that failed.
    pub failed: u64,
    /// Bytes to it.
    pub bytes_in: u64,
    /// Bytes from it.
    pub bytes_out: u64,
}

/// A block that took long. Nothing of what the client sent is in here.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Slow {
    /// When it returned, in seconds since 1970.
    pub at: f64,
    /// The client's address.
    pub client: String,
    /// The listener's name.
    pub listener: String,
    /// As the config calls it, such as `proxy`.
    pub block: Text,
    /// Seconds that the question waited for a Ruby thread.
    pub queue_wait: f64,
    /// Seconds in the block.
    pub block_time: f64,
    /// The answer in a word: the remote's name, or the kind of the decision.
    pub answer: String,
}

/// What is set.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Setting {
    /// The verb of the config.
    pub name: String,
    /// As one would write it.
    pub value: String,
}
