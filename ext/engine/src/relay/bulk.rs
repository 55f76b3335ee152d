//! Flows that proved bulky are not copied: what they move goes through a pipe.

use std::io;
use std::task::{Context, Poll};

use super::{BULK, Broken, Flow, Way};
use crate::Socket;
use crate::patience::Patience;
use crate::splice::{self, Pipe};
use crate::stream::{Read, Stream};

/// What a flow has for it.
#[derive(Debug, Default)]
pub(super) struct Bulk {
    /// While something is in it.
    pipe: Option<Pipe>,
    patience: Patience,
}

impl Bulk {
    /// Whether something was read and not yet written.
    pub(super) fn is_filled(&self) -> bool {
        self.pipe.is_some()
    }
}

impl Flow {
    /// One read, and as much written as the sink takes, without copying; None if the flow is not bulky (any more).
    pub(super) fn poll_splice<A: Stream, B: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        way: &mut Way<'_, A, B>,
    ) -> Option<Poll<Result<Read, Broken>>> {
        let (source, sink) = (way.source.socket()?, way.sink.socket()?);
        let Bulk { pipe: filled, patience } = match &mut self.bulk {
            None if self.streak < BULK => return None,
            bulk => &mut **bulk.get_or_insert_default(),
        };
        if let Some(pipe) = filled {
            if let Poll::Ready(Err(_)) = drain(pipe, cx, sink, way) {
                return Some(Poll::Ready(Err(Broken::Sink)));
            }
            if pipe.held() > 0 {
                return Some(Poll::Pending);
            }
            *filled = None; // Back to the pool.
        }
        let is_bulky = self.streak >= BULK && !source.has_urgent();
        let Some(mut pipe) = is_bulky.then(Pipe::take).flatten() else {
            patience.end(source);
            return None;
        };
        let count = match pipe.poll_fill(cx, source) {
            Poll::Pending => {
                patience.wait(cx, source);
                return Some(Poll::Pending);
            }
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(error)) if splice::is_unsupported(&error) => {
                self.streak = 0;
                patience.end(source);
                return None;
            }
            Poll::Ready(Err(_)) => return Some(Poll::Ready(Err(Broken::Source))),
        };
        patience.moved(count);
        let drained = drain(&mut pipe, cx, sink, way);
        *filled = Some(pipe).filter(|pipe| pipe.held() > 0);
        Some(match drained {
            Poll::Ready(Err(_)) => Poll::Ready(Err(Broken::Sink)),
            _ => Poll::Ready(Ok(Read { count, is_last: count == 0 })),
        })
    }

    /// From now on somebody else reads from the source.
    pub(super) fn leave<A: Stream>(&mut self, source: &A) {
        if let (Some(bulk), Some(socket)) = (&mut self.bulk, source.socket()) {
            bulk.patience.end(socket);
        }
    }
}

fn drain<A, B>(
    pipe: &mut Pipe,
    cx: &mut Context<'_>,
    sink: &Socket,
    way: &mut Way<'_, A, B>,
) -> Poll<io::Result<()>> {
    let before = pipe.held();
    let drained = pipe.poll_drain(cx, sink);
    way.sent(before - pipe.held());
    drained
}
