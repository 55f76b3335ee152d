//! What ProxyMachine shows of itself. Nothing here knows Ruby, and nothing here counts: whoever counts
//! implements [`Source`].
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod snapshot;

pub use snapshot::{Snapshot, Source, State};
