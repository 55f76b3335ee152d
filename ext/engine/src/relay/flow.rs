//! One direction of a relay: bytes from a source to a sink.

use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};

#[cfg(target_os = "linux")]
use super::splice::{Splice, Unsupported};
use super::turn::{Broken, Turn};
use crate::net::scratch;
use crate::net::stream::{Read, Stream};

/// Bytes that a flow may read in one turn before other connections get theirs.
const TURN_BUDGET: u32 = 1024 * 1024;

/// A turn that reads fewer bytes lowers the streaming score.
const SMALL_TURN: u32 = 16 * 1024;

/// Streaming score from which a flow is spliced.
#[cfg(target_os = "linux")]
pub(super) const SPLICE_THRESHOLD: u32 = 512 * 1024;

/// Upper limit of the streaming score.
const MAX_SCORE: u32 = 2 * 1024 * 1024;

/// One direction.
#[derive(Default)]
pub(super) struct Flow {
    /// Bytes read, or given at the start, and not yet written.
    pending: Bytes,
    /// Bytes read of late, halved at each small turn.
    streaming_score: u32,
    /// Set when the flow is first spliced.
    #[cfg(target_os = "linux")]
    splice: Option<Box<Splice>>,
    /// Whether the source has sent a byte.
    pub(super) started: bool,
    /// Whether the source has ended.
    pub(super) ended: bool,
    /// Whether the sink still takes bytes. Only an open flow is polled.
    pub(super) state: State,
}

/// Where the bytes of a flow come from and go to.
pub(super) struct Ends<'a, A, B> {
    pub(super) source: &'a A,
    pub(super) sink: &'a B,
}

impl<A, B> Clone for Ends<'_, A, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A, B> Copy for Ends<'_, A, B> {}

/// The state of a flow's sink.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Open,
    /// The sink has everything, and its side of the connection was ended.
    Ended,
    /// The sink takes nothing more: it was reset.
    Broken,
}

impl Flow {
    /// Creates a flow that begins with `pending`.
    pub(super) fn new(pending: Bytes) -> Self {
        Self { pending, ..Self::default() }
    }

    /// Moves bytes for one turn. Ready when the source has ended and the sink has everything.
    pub(super) fn poll<A: Stream, B: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        ends: Ends<'_, A, B>,
        turn: &mut Turn,
    ) -> Poll<Result<(), Broken>> {
        let polled = self.poll_turn(cx, ends, turn);
        // A wake-up that read nothing leaves the score unchanged.
        self.streaming_score = match turn.read {
            1..SMALL_TURN => self.streaming_score / 2,
            read => (self.streaming_score + read).min(MAX_SCORE),
        };
        polled
    }

    fn poll_turn<A: Stream, B: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        ends: Ends<'_, A, B>,
        turn: &mut Turn,
    ) -> Poll<Result<(), Broken>> {
        while turn.read < TURN_BUDGET {
            while !self.pending.is_empty() {
                let written = ends.sink.poll_write(cx, &self.pending, self.ended);
                let written = ready!(written).map_err(|_| Broken::Sink)?;
                self.pending.advance(written);
                turn.sent += written;
            }
            self.pending = Bytes::new(); // An empty rest would keep the whole buffer allocated.
            ready!(ends.sink.poll_flush(cx, self.ended)).map_err(|_| Broken::Sink)?;
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            let read = match self.poll_splice(cx, ends, turn) {
                Some(spliced) => ready!(spliced)?,
                None => ready!(self.poll_copy(cx, ends, turn))?,
            };
            turn.has_read = true;
            self.started |= read.count > 0;
            self.ended = read.is_last;
            turn.read += read.count as u32; // A read is no longer than the budget.
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads once into the scratch buffer, writes once, and keeps what the sink did not take.
    fn poll_copy<A: Stream, B: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        Ends { source, sink }: Ends<'_, A, B>,
        turn: &mut Turn,
    ) -> Poll<Result<Read, Broken>> {
        scratch::with(scratch::SIZE, |scratch| {
            let read = ready!(source.poll_read(cx, scratch)).map_err(|_| Broken::Source)?;
            let data = &scratch[..read.count];
            if data.is_empty() {
                return Poll::Ready(Ok(read));
            }
            let written = match sink.poll_write(cx, data, read.is_last) {
                Poll::Ready(written) => written.map_err(|_| Broken::Sink)?,
                Poll::Pending => 0,
            };
            turn.sent += written;
            if written < data.len() {
                self.pending = Bytes::copy_from_slice(&data[written..]);
            }
            Poll::Ready(Ok(read))
        })
    }

    /// Splices once; `None` if the flow is to be copied.
    #[cfg(target_os = "linux")]
    fn poll_splice<A: Stream, B: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        ends: Ends<'_, A, B>,
        turn: &mut Turn,
    ) -> Option<Poll<Result<Read, Broken>>> {
        let (source, sink) = (ends.source.socket()?, ends.sink.socket()?);
        let is_streaming = self.streaming_score >= SPLICE_THRESHOLD;
        let splice = match &mut self.splice {
            None if !is_streaming => return None,
            splice => splice.get_or_insert_default(),
        };
        splice.poll(cx, source, sink, is_streaming, turn).unwrap_or_else(|Unsupported| {
            self.streaming_score = 0;
            None
        })
    }

    #[cfg(not(target_os = "linux"))]
    fn poll_splice<A, B>(
        &mut self,
        _: &mut Context<'_>,
        _: Ends<'_, A, B>,
        _: &mut Turn,
    ) -> Option<Poll<Result<Read, Broken>>> {
        None
    }

    /// Tells whether the flow waits for its source, and not for its sink.
    pub(super) fn is_reading(&self, sink: &impl Stream) -> bool {
        #[cfg(target_os = "linux")]
        if self.splice.as_ref().is_some_and(|splice| splice.is_filled()) {
            return false;
        }
        self.pending.is_empty() && !sink.has_unsent()
    }

    /// Resets the options of the source, which is read by other code from now on.
    pub(super) fn release_source(&mut self, source: &impl Stream) {
        #[cfg(target_os = "linux")]
        if let (Some(splice), Some(socket)) = (&mut self.splice, source.socket()) {
            splice.release(socket);
        }
    }
}
