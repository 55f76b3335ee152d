//! Events that engine threads send to the Ruby thread: log lines, and calls of the config's blocks.

use std::time::Instant;

use bytes::Bytes;
use proxymachine_engine::{Client, Failure, TimedVerdict, Verdict};
use tokio::sync::oneshot;

use crate::log::Line;

/// An event for the Ruby thread.
pub enum Event {
    /// A line for the log.
    Line(Line),
    /// A call of a block or a callback.
    Call(Call),
}

impl Event {
    /// Returns whether the event is a log line.
    pub fn is_line(&self) -> bool {
        matches!(self, Self::Line(_))
    }

    /// Returns whether the event is a call whose client has left.
    pub fn is_abandoned(&self) -> bool {
        matches!(self, Self::Call(Call::Block(call)) if call.is_abandoned())
    }
}

/// A call of a block or a callback.
pub enum Call {
    /// A call of a block that decides.
    Block(BlockCall),
    /// A call of the callback for a failure.
    FailureCallback {
        failure: Failure,
        client: Client,
        remote: String,
        reply: oneshot::Sender<Option<Verdict>>,
    },
}

/// A call of a block that decides about a connection.
pub struct BlockCall {
    pub block: Block,
    pub client: Client,
    pub data: Bytes,
    /// Time when the call was posted.
    pub posted: Instant,
    pub reply: oneshot::Sender<TimedVerdict>,
}

impl BlockCall {
    /// Returns whether the client has left, so that the connection no longer needs a verdict.
    pub fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }
}

/// The config's blocks that decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// `proxy`
    Proxy,
    /// `proxy_accept`
    Accept,
    /// `proxy_timeout`
    Timeout,
}

impl Block {
    /// Returns the verb that configures the block.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Accept => "proxy_accept",
            Self::Timeout => "proxy_timeout",
        }
    }
}
