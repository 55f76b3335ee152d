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
