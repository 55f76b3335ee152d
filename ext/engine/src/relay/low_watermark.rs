//! The read low-water mark of a fast flow.
//!
//! Without one the reader is woken for each packet of at most 64 KiB and acknowledges each, which makes the sender
//! send more. Within one machine the sender's work is done on the reader's processor. `SO_RCVLOWAT` (socket(7)) makes
//! the kernel wait until more bytes are there, or the end, or the buffer is full. The last piece of a flow may be
//! smaller than the mark, so a timer ends the wait. A flow that pauses has waited once and must move twice as many
//! bytes before the mark is set again. (Since Linux 4.18 the kernel then reports the bytes that are there.)

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use crate::Socket;
use crate::net::sys::set_read_low_watermark;

/// The mark, in bytes. With 128 KiB, bulk costs 10 % more; with 512 KiB not measurably less.
const LOW_WATERMARK: i32 = 256 * 1024;

/// Bytes that a flow must have moved without a pause before the mark is set for the first time.
const FAST_AFTER: u64 = 8 * 1024 * 1024;

/// A flow that moves nothing for so long pauses. Up to twice as long may pass before the pause is noticed.
const PAUSE_TIMEOUT: Duration = Duration::from_millis(10);

/// Sets and clears the mark of one source.
#[derive(Debug)]
pub(super) struct ReadLowWatermark {
    /// Bytes moved since the last pause.
    moved: u64,
    /// Bytes from which on the flow is fast.
    needed: u64,
    /// While the mark is set: the timer, and `moved` when the timer was started.
    timer: Option<(Pin<Box<Sleep>>, u64)>,
}

impl Default for ReadLowWatermark {
    fn default() -> Self {
        Self { moved: 0, needed: FAST_AFTER, timer: None }
    }
}

impl ReadLowWatermark {
    /// Counts bytes that have come.
    pub(super) fn moved(&mut self, count: usize) {
        self.moved += count as u64;
    }

    /// Sets the mark if the flow is fast, and clears it after a pause. Called when the flow waits for its source.
    pub(super) fn wait(&mut self, cx: &mut Context<'_>, source: &Socket) {
        if self.timer.is_none() && self.moved >= self.needed && source.is_tcp() {
            set_read_low_watermark(source, LOW_WATERMARK);
            self.start_timer();
        }
        while let Some((timer, before)) = &mut self.timer {
            if timer.as_mut().poll(cx).is_pending() {
                return;
            }
            if *before == self.moved {
                self.needed = self.needed.saturating_mul(2);
                return self.clear(source);
            }
            self.start_timer();
        }
    }

    fn start_timer(&mut self) {
        self.timer = Some((Box::pin(sleep(PAUSE_TIMEOUT)), self.moved));
    }

    /// Clears the mark: a single byte makes the socket readable again, also one that is already there.
    pub(super) fn clear(&mut self, source: &Socket) {
        self.moved = 0;
        if self.timer.take().is_some() {
            set_read_low_watermark(source, 1);
        }
    }
}
