//! The loop of the Ruby thread that called `run`: waits without the GVL, then handles all batches of the
//! mailbox.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use magnus::Error;
use tokio::runtime::Handle;

use crate::block_call::BlockCaller;
use crate::event::{BlockCall, Call, Event};
use crate::gvl::check_interrupts;
use crate::log::{Line, Log};
use crate::mailbox::{Batch, lines_of};
use crate::replies::Replies;
use crate::shared::RubyShared;
use crate::thread_pool::ThreadPool;

/// Interval between two changes of the process title.
const TITLE_INTERVAL: Duration = Duration::from_secs(1);

/// Time that replies wait for the rest of their batch. A call that takes longer is followed by a delivery.
const MAX_REPLY_DELAY: Duration = Duration::from_micros(500);

/// Duration above which a call is slow. Soon after a slow call, no reply waits for another call. The limit is
/// well above the time that a thread loses when it is preempted, since each delivery costs a wake-up.
const SLOW_CALL: Duration = Duration::from_millis(10);

/// Time after a slow call in which no reply waits.
const SLOW_PERIOD: Duration = Duration::from_secs(2);

/// Handles the events of the engine on the Ruby thread.
pub struct Dispatcher<'a> {
    shared: &'a Arc<RubyShared>,
    caller: BlockCaller<'a>,
    pool: Option<&'a ThreadPool>,
    log: Log,
    batches: VecDeque<Batch>,
    calls: VecDeque<Call>,
    replies: Replies,
    last_slow_call: Option<Instant>,
    title_renewed: Option<Instant>,
}

impl<'a> Dispatcher<'a> {
    pub fn new(shared: &'a Arc<RubyShared>, caller: BlockCaller<'a>, pool: Option<&'a ThreadPool>) -> Self {
        Self {
            shared,
            caller,
            pool,
            log: Log::new(),
            batches: VecDeque::new(),
            calls: VecDeque::new(),
            replies: Replies::default(),
            last_slow_call: None,
            title_renewed: None,
        }
    }

    /// Serves until the engine has finished.
    ///
    /// # Errors
    /// Returns what must end `run`: `exit`, an exception of a signal, `Thread#kill`, a fork.
    pub fn serve(&mut self) -> Result<(), Error> {
        loop {
            self.caller.check_fork()?;
            let is_finished = self.shared.mailbox.is_finished();
            self.batches.extend(self.shared.mailbox.take());
            if self.batches.is_empty() {
                if is_finished {
                    return Ok(());
                }
                let limit = self.renew_title()?;
                self.caller.check_fork()?;
                self.shared.mailbox.wakeup.wait(limit)?;
                continue;
            }
            self.follow_logger()?;
            while let Some(batch) = self.batches.pop_front() {
                self.handle(batch)?;
            }
            self.renew_title()?;
            check_interrupts()?;
        }
    }

    /// Returns the lines that are not logged yet when `serve` ended early. Calls no Ruby.
    pub fn into_lines(self) -> Vec<Line> {
        let mut lines = self.caller.lines;
        lines.extend(lines_of(self.batches));
        lines.extend(self.shared.mailbox.take_lines());
        lines
    }

    /// Writes the lines of a batch, calls the blocks, then writes the lines about the calls. So lines that a
    /// block logs itself are in the right order, and a batch needs two writes.
    fn handle(&mut self, batch: Batch) -> Result<(), Error> {
        for event in batch.events {
            match event {
                Event::Line(line) => self.caller.lines.push(line),
                Event::Call(call) => self.calls.push_back(call),
            }
        }
        self.log.write(&mut self.caller.lines, self.caller.handler)?;

        let origin = batch.origin.as_ref();
        // The end of a call is the beginning of the next one, so that each needs one look at the clock.
        let mut now = Instant::now();
        while let Some(call) = self.calls.pop_front() {
            if self.last_slow_call.is_some_and(|then| now.duration_since(then) < SLOW_PERIOD) {
                self.replies.deliver(origin);
                now = Instant::now();
            }
            self.call(call, origin, now)?;
            let called = std::mem::replace(&mut now, Instant::now());
            let duration = now.duration_since(called);
            if duration > SLOW_CALL {
                self.last_slow_call = Some(now);
            }
            if duration > MAX_REPLY_DELAY {
                self.replies.deliver(origin);
                self.log.write(&mut self.caller.lines, self.caller.handler)?;
                self.renew_title()?;
                now = Instant::now();
            }
        }
        self.replies.deliver(origin);
        self.log.write(&mut self.caller.lines, self.caller.handler)
    }

    fn call(&mut self, call: Call, origin: Option<&Handle>, now: Instant) -> Result<(), Error> {
        match (call, self.pool) {
            (Call::Block(call), Some(pool)) => pool.push(call, origin.cloned()),
            (Call::Block(call), None) if call.is_abandoned() => {}
            (Call::Block(BlockCall { block, client, data, posted, reply }), None) => {
                let verdict = self.caller.decide(block, &client, data, posted, now)?;
                self.replies.push(reply, verdict);
            }
            (Call::FailureCallback { failure, client, remote, reply }, _) => {
                let verdict = self.caller.call_failure_callback(failure, &client, remote, now)?;
                let _ = reply.send(verdict);
            }
        }
        Ok(())
    }

    /// Asks for the level of LOGGER, which the config may have changed.
    fn follow_logger(&self) -> Result<(), Error> {
        let is_info = self.caller.handler.is_info()?;
        self.shared.is_info.store(is_info, Relaxed);
        Ok(())
    }

    /// Renews a stale process title. If the last change is too recent, returns the time until the next one.
    fn renew_title(&mut self) -> Result<Option<Duration>, Error> {
        if !self.shared.is_title_stale.load(Relaxed) {
            return Ok(None);
        }
        let rest = self.title_renewed.and_then(|then| TITLE_INTERVAL.checked_sub(then.elapsed()));
        if rest.is_some() {
            return Ok(rest);
        }
        self.shared.is_title_stale.store(false, Relaxed);
        self.title_renewed = Some(Instant::now());
        self.caller.handler.title()?;
        Ok(None)
    }
}
