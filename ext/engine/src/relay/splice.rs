//! Splicing a flow that streams: splice(2) moves its bytes through a pipe, without copying them.

use std::io;
use std::task::{Context, Poll};

use super::low_watermark::ReadLowWatermark;
use super::pipe::{self, Pipe};
use super::turn::{Broken, Turn};
use crate::Socket;
use crate::net::stream::Read;

/// The state of a spliced flow.
#[derive(Debug, Default)]
pub(super) struct Splice {
    /// The pipe, while it holds bytes.
    pipe: Option<Pipe>,
    low_watermark: ReadLowWatermark,
}

/// The system does not splice these sockets.
pub(super) struct Unsupported;

impl Splice {
    /// Tells whether bytes were read and not yet written.
    pub(super) fn is_filled(&self) -> bool {
        self.pipe.is_some()
    }

    /// Reads once and writes as much as the sink takes. Returns `None` if the flow is to be copied: it does not
    /// stream any more, urgent data has come, or no pipe is free.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &Socket,
        sink: &Socket,
        is_streaming: bool,
        turn: &mut Turn,
    ) -> Result<Option<Poll<Result<Read, Broken>>>, Unsupported> {
        let Self { pipe: filled, low_watermark } = self;
        if let Some(pipe) = filled {
            if let Poll::Ready(Err(_)) = drain(pipe, cx, sink, turn) {
                return Ok(Some(Poll::Ready(Err(Broken::Sink))));
            }
            if pipe.held() > 0 {
                return Ok(Some(Poll::Pending));
            }
            *filled = None; // Returns the pipe to the pool.
        }
        let can_splice = is_streaming && !source.has_urgent();
        let Some(mut pipe) = can_splice.then(Pipe::take).flatten() else {
            low_watermark.clear(source);
            return Ok(None);
        };
        let count = match pipe.poll_fill(cx, source) {
            Poll::Pending => {
                low_watermark.wait(cx, source);
                return Ok(Some(Poll::Pending));
            }
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(error)) if pipe::is_unsupported(&error) => {
                low_watermark.clear(source);
                return Err(Unsupported);
            }
            Poll::Ready(Err(_)) => return Ok(Some(Poll::Ready(Err(Broken::Source)))),
        };
        low_watermark.moved(count);
        let drained = drain(&mut pipe, cx, sink, turn);
        *filled = Some(pipe).filter(|pipe| pipe.held() > 0);
        Ok(Some(match drained {
            Poll::Ready(Err(_)) => Poll::Ready(Err(Broken::Sink)),
            _ => Poll::Ready(Ok(Read { count, is_last: count == 0 })),
        }))
    }

    /// Resets the options of the source, which is read by other code from now on.
    pub(super) fn release(&mut self, source: &Socket) {
        self.low_watermark.clear(source);
    }
}

fn drain(pipe: &mut Pipe, cx: &mut Context<'_>, sink: &Socket, turn: &mut Turn) -> Poll<io::Result<()>> {
    let before = pipe.held();
    let drained = pipe.poll_drain(cx, sink);
    turn.sent += before - pipe.held();
    drained
}
