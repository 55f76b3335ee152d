//! The last connections that ended by an error, for the admin address.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use proxymachine_admin::failures::{Failure, FailureKind, FailureTimes, Failures};
use proxymachine_engine::{Client, ConnectionRecord};

use crate::lock;

/// Keeps the last failures if there is an admin address. A connection that ends well costs one comparison.
#[derive(Default)]
pub struct RecentFailures {
    is_on: AtomicBool,
    failures: Mutex<Failures>,
}

impl RecentFailures {
    /// Begins to keep failures.
    pub fn turn_on(&self) {
        self.is_on.store(true, Relaxed);
    }

    /// Returns the failures so far.
    pub fn snapshot(&self) -> Failures {
        lock(&self.failures).clone()
    }

    /// Adds a connection, unless its termination code occurs in ordinary use.
    pub fn add(&self, client: &Client, record: &ConnectionRecord) {
        let code = record.code().info();
        if !code.is_error || !self.is_on.load(Relaxed) {
            return;
        }
        let endpoint = client.endpoint();
        let failure = Failure {
            at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
            client: client.to_string(),
            connection: client.id().to_string(),
            kind: FailureKind {
                listener: endpoint.name().unwrap_or_else(|| endpoint.address()).into(),
                remote: record.remote().map(ToString::to_string),
                code: code.letters.into(),
                reason: record.reason().map(|reason| reason.word().into()),
            },
            times: FailureTimes {
                waiting_ms: Some(record.waiting()),
                block_ms: record.in_block(),
                connecting_ms: record.connecting(),
                first_byte_ms: record.first_byte(),
                relaying_ms: record.relaying(),
                total_ms: record.total(),
            },
            retries: record.retries(),
        };
        lock(&self.failures).add(failure);
    }
}
