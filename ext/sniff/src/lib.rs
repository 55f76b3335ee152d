//! Protocol sniffers: each parses the first message of a client.
//!
//! A sniffer takes all bytes received so far and is called again when more arrive. It returns views into
//! these bytes, or a [`SniffError`]. It allocates nothing until a message is complete, takes time linear in
//! the bytes, and never panics. Further bytes do not change a result other than [`SniffError::Incomplete`].
//! Two messages are exceptions, since the client waits for an answer before it continues: a SOCKS 5 greeting
//! and a PostgreSQL request for encryption give way to the message after them.
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

/// The reason why a sniffer found no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SniffError {
    /// The bytes are a prefix of such a message, or may be one.
    Incomplete,
    /// The bytes belong to another protocol, or the message is malformed. Further bytes do not change that.
    Mismatch,
}

impl SniffError {
    /// Turns [`SniffError::Incomplete`] into [`SniffError::Mismatch`]: a complete message that is too short
    /// for its own content is malformed.
    fn in_complete_message(self) -> Self {
        Self::Mismatch
    }
}
