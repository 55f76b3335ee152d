//! The verdicts on their way from the Ruby thread back to an engine thread.

use std::mem;

use proxymachine_engine::TimedVerdict;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// The collected replies to the calls of one batch.
#[derive(Default)]
pub struct Replies {
    pending: Vec<(oneshot::Sender<TimedVerdict>, TimedVerdict)>,
}

impl Replies {
    /// Adds a reply.
    pub fn push(&mut self, reply: oneshot::Sender<TimedVerdict>, verdict: TimedVerdict) {
        self.pending.push((reply, verdict));
    }

    /// Delivers all replies in one task, so that they need one wake-up of the engine thread.
    pub fn deliver(&mut self, origin: Option<&Handle>) {
        if self.pending.is_empty() {
            return;
        }
        let next = Vec::with_capacity(self.pending.len());
        let pending = mem::replace(&mut self.pending, next);
        if let Some(origin) = origin {
            origin.spawn(async move {
                for (reply, verdict) in pending {
                    // A connection that has ended has dropped its receiver.
                    let _ = reply.send(verdict);
                }
            });
        }
    }
}
