//! Sockets, their options, and the system calls that no crate offers.

pub(crate) mod keepalive;
#[cfg(target_os = "linux")]
pub(crate) mod loopback;
pub mod networks;
#[cfg_attr(not(target_os = "linux"), path = "net/parking/unsupported.rs")]
pub(crate) mod parking;
mod registration;
pub(crate) mod scratch;
pub mod socket;
pub mod stream;
pub(crate) mod sys;
mod thread_id;
pub mod zone;
