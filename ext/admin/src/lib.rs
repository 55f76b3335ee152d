//! ProxyMachine's admin address: a read-only HTTP server with `/metrics` for Prometheus, `/healthz` and
//! `/readyz` for probes, `/status.json` for programs, `/status.txt` for terminals and a page for browsers at
//! `/`.
//!
//! This crate knows neither Ruby nor the engine's counters. The counters come through the trait
//! [`SnapshotSource`].
//!
//! ```text
//! SnapshotSource -> Snapshot -> metrics                        /metrics
//!                      |
//!                      + History -> Status -> JSON             /status.json
//!                                        |--> text page        /status.txt
//!                                        +--> page             /
//! ```
//!
//! ```
//! use std::sync::Arc;
//! use proxymachine_admin::{Admin, Snapshot, SnapshotSource, State};
//!
//! struct Empty;
//! impl SnapshotSource for Empty {
//!     fn snapshot(&self) -> Snapshot {
//!         Snapshot::default()
//!     }
//!     fn state(&self) -> State {
//!         State::default()
//!     }
//! }
//!
//! let admin = Admin::bind("127.0.0.1:0", (None, None))?;
//! let server = admin.start(Arc::new(Empty))?;
//! drop(server); // stops the server
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]
#![warn(missing_docs)]

mod aggregate;
pub mod certificates;
mod chart;
pub mod failures;
mod format;
mod handshakes;
mod history;
mod html;
mod merge;
mod metrics;
mod page;
mod process;
mod routes;
pub mod server;
mod shared;
pub mod snapshot;
mod status;
mod text_page;
mod upstreams;

pub use aggregate::WorkerAggregate;
pub use server::{Admin, AdminServer};
pub use snapshot::{Snapshot, SnapshotSource, State};
