//! The errors of a PROXY header.

/// Why bytes are not a valid header. Displays as the end of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The bytes do not begin like a header.
    #[error("no PROXY header")]
    Missing,
    /// The sender is not trusted. Only the caller of [`parse`](super::parse) reports this error.
    #[error("PROXY header from an address that is not trusted")]
    Untrusted,
    /// The header is longer than any useful one.
    #[error("PROXY header too long")]
    TooLong,
    /// The command of a version 2 header is neither LOCAL nor PROXY.
    #[error("PROXY header of an unknown version or command")]
    Command,
    /// An address or a port is malformed, truncated, or of an unknown family.
    #[error("PROXY header with a malformed address")]
    Address,
    /// The bytes after the addresses are not a sequence of TLVs.
    #[error("PROXY header with a malformed TLV")]
    Tlv,
    /// The header was damaged on its way.
    #[error("PROXY header with a wrong checksum")]
    Checksum,
}
