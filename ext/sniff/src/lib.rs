//! The sniffers: what the first bytes of a connection ask for.
//!
//! Each function gets all bytes that a client has sent so far, and is called again when there are more.
//! It answers what it found, as views into these bytes, or a [`Miss`]. Until something is found nothing is
//! allocated, the time is linear in the bytes, and no input panics. What was found or foreign once stays
//! so when more bytes follow; the two that are a question to be answered first, a SOCKS 5 greeting and a
//! PostgreSQL request for encryption, give way to what the client says next.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod cursor;
pub mod git;
pub mod host;
pub mod http;
pub mod postgres;
pub mod socks;
pub mod ssh;
pub mod tls;

/// Why nothing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// These bytes may become such a message when more follow.
    Incomplete,
    /// These bytes do not begin such a message, whatever follows.
    Foreign,
}

impl Miss {
    /// What is short of bytes inside a message that is all there is malformed.
    fn inside(self) -> Self {
        Self::Foreign
    }
}
