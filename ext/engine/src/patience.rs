//! A fast flow is read in large pieces.
//!
//! Otherwise its reader is woken for each packet, of 64 KiB at most, and acknowledges each, which makes the sender send
//! more: within a machine its work is done on the reader's processor. `SO_RCVLOWAT` (socket(7)) makes the kernel wait
//! until more is there, or the end, or no room. But the last piece of a flow may be smaller, so an alarm ends the
//! waiting: who pauses has waited once, and must move twice as much before it happens to it again. (Since Linux 4.18 the
//! kernel then tells of what is there.)

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use crate::Socket;
use crate::system::wait_for_more;

/// What the kernel waits for, in bytes. With 128 KiB bulk costs 10 % more, with 512 KiB not measurably less.
const PIECE: i32 = 256 * 1024;

/// The least that a flow must have moved without a pause.
const TRUSTED: u64 = 8 * 1024 * 1024;

/// A flow that moves nothing for so long pauses. It may last twice as long until that is noticed.
const PAUSE: Duration = Duration::from_millis(10);

/// How a flow waits for its source.
#[derive(Debug)]
pub(crate) struct Patience {
    /// Bytes since the last pause.
    moved: u64,
    /// From so many on the flow is fast.
    needed: u64,
    /// While the kernel waits for a whole piece: when to look, and what had moved when that was set.
    alarm: Option<(Pin<Box<Sleep>>, u64)>,
}

impl Default for Patience {
    fn default() -> Self {
        Self { moved: 0, needed: TRUSTED, alarm: None }
    }
}

impl Patience {
    /// So many bytes have come.
    pub(crate) fn moved(&mut self, count: usize) {
        self.moved += count as u64;
    }

    /// To be called when the flow has to wait for its source.
    pub(crate) fn wait(&mut self, cx: &mut Context<'_>, source: &Socket) {
        if self.alarm.is_none() && self.moved >= self.needed && source.is_tcp() {
            wait_for_more(source, PIECE);
            self.set_alarm();
        }
        while let Some((alarm, before)) = &mut self.alarm {
            if alarm.as_mut().poll(cx).is_pending() {
                return;
            }
            if *before == self.moved {
                self.needed = self.needed.saturating_mul(2);
                return self.end(source);
            }
            self.set_alarm();
        }
    }

    fn set_alarm(&mut self) {
        self.alarm = Some((Box::pin(sleep(PAUSE)), self.moved));
    }

    /// From now on any byte counts. If there are some, the socket is ready for them.
    pub(crate) fn end(&mut self, source: &Socket) {
        self.moved = 0;
        if self.alarm.take().is_some() {
            wait_for_more(source, 1);
        }
    }
}
