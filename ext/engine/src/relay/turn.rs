//! What one turn of a flow moved, or which side of it broke.

/// The bytes that a flow moved in one turn.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Bytes read from the source.
    pub(super) read: u32,
    /// Bytes written to the sink.
    pub(super) sent: usize,
    /// Whether the source was read, which may have brought its end and no byte.
    pub(super) has_read: bool,
}

impl Turn {
    /// Tells whether the turn counts as traffic.
    pub(super) fn has_moved(&self) -> bool {
        self.has_read || self.sent > 0
    }
}

/// The side of a flow that failed.
#[derive(Debug)]
pub(super) enum Broken {
    Source,
    Sink,
}
