//! What `/status.json` says and the page shows: the numbers of now, and what they were lately.

use serde::Serialize;

use crate::history::{History, Latency, Rates};
use crate::process::Process;
use crate::snapshot::{Listener, Snapshot};

#[derive(Debug, Clone, Serialize)]
pub struct Status {
    #[serde(flatten)]
    pub snapshot: Snapshot,
    /// What the system knows about the process.
    pub process: Option<Process>,
    /// All listeners as one; None where nothing is counted by listener.
    pub totals: Option<Listener>,
    /// In the last five seconds.
    pub rates: Option<Rates>,
    /// In the last minute.
    pub latencies: Vec<Latency>,
    /// Each second of the last minute, the oldest first.
    pub seconds: Vec<Rates>,
}

impl Status {
    pub fn new(snapshot: Snapshot, history: &History) -> Self {
        let mut totals = None;
        if !snapshot.listeners.is_empty() {
            totals = Some(Listener { name: "all".into(), ..Listener::sum(&snapshot.listeners) });
        }
        Self {
            snapshot,
            process: Process::read(),
            totals,
            rates: history.rates(),
            latencies: history.latencies(),
            seconds: history.seconds(),
        }
    }

    /// For programs.
    pub fn json(&self) -> Vec<u8> {
        // All keys are text and all values are plain: there is nothing to fail at.
        serde_json::to_vec(self).unwrap_or_default()
    }
}
