//! The current counters together with their last minute: the data of `/status.json`, `/status.txt` and the
//! page.

use serde::Serialize;

use crate::history::{History, Latency, Rates};
use crate::process::ProcessStats;
use crate::snapshot::{ListenerStats, Snapshot};

#[derive(Debug, Clone, Serialize)]
pub struct Status {
    #[serde(flatten)]
    pub snapshot: Snapshot,
    /// The kernel's counters of the process.
    pub process: Option<ProcessStats>,
    /// Sum of all listeners. None if no listener is counted.
    pub totals: Option<ListenerStats>,
    /// Rates of the last five seconds.
    pub rates: Option<Rates>,
    /// Durations of the last minute.
    pub latencies: Vec<Latency>,
    /// Rates of each second of the last minute, the oldest first.
    pub seconds: Vec<Rates>,
}

impl Status {
    pub fn new(snapshot: Snapshot, history: &History) -> Self {
        let mut totals = None;
        if !snapshot.listeners.is_empty() {
            totals = Some(ListenerStats { name: "all".into(), ..ListenerStats::sum(&snapshot.listeners) });
        }
        Self {
            snapshot,
            process: ProcessStats::read(),
            totals,
            rates: history.rates(),
            latencies: history.latencies(),
            seconds: history.seconds(),
        }
    }

    /// Returns the body of `/status.json`.
    pub fn json(&self) -> Vec<u8> {
        // Serialization cannot fail: all keys are strings, and no value has a Serialize of its own.
        serde_json::to_vec(self).unwrap_or_default()
    }
}
