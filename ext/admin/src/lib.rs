//! What ProxyMachine shows of itself, over HTTP and read-only: `/metrics` for Prometheus, `/healthz` and
//! `/readyz` for whoever probes it, `/status.json` for programs, and `/` for people.
//!
//! Nothing here knows Ruby, and nothing here counts: whoever counts implements [`Source`].
//!
//! ```text
//! Source -> Snapshot -> metrics                        /metrics
//!              |
//!              + History -> Status -> JSON or page     /status.json, /
//! ```
//!
//! ```
//! use std::sync::Arc;
//! use proxymachine_admin::{Admin, Snapshot, Source, State};
//!
//! struct Nothing;
//! impl Source for Nothing {
//!     fn snapshot(&self) -> Snapshot {
//!         Snapshot::default()
//!     }
//!     fn state(&self) -> State {
//!         State::default()
//!     }
//! }
//!
//! let admin = Admin::bind("127.0.0.1:0", (None, None))?;
//! let running = admin.start(Arc::new(Nothing))?;
//! drop(running); // it answers until then
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]
#![warn(missing_docs)]

mod answer;
mod chart;
mod counting;
mod format;
mod gather;
mod history;
mod html;
mod metrics;
mod page;
mod process;
pub mod server;
pub mod snapshot;
mod status;

pub use gather::Gathered;
pub use server::{Admin, Running};
pub use snapshot::{Snapshot, Source, State};
