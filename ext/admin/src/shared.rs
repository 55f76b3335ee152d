//! State that all connections to the admin address share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Semaphore;

use crate::history::History;
use crate::snapshot::SnapshotSource;
use crate::status::Status;

/// The source of the counters, their history and the connection limit.
pub struct AdminShared {
    pub source: Arc<dyn SnapshotSource>,
    history: Mutex<History>,
    /// One permit for each connection that may be open.
    pub permits: Arc<Semaphore>,
}

impl AdminShared {
    pub fn new(source: Arc<dyn SnapshotSource>, max_connections: usize) -> Self {
        Self { source, history: Mutex::default(), permits: Arc::new(Semaphore::new(max_connections)) }
    }

    /// Adds a sample to the history.
    pub fn sample(&self) {
        let snapshot = self.source.own_snapshot();
        self.history().add(&snapshot, Instant::now());
    }

    /// Returns the current counters and the last minute of their history.
    pub fn status(&self) -> Status {
        Status::new(self.source.snapshot(), &self.history())
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
