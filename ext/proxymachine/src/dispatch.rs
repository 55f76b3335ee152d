//! The Ruby thread's loop: wait without the GVL, then answer everything that has come.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use magnus::value::ReprValue;
use magnus::{Error, Value};
use tokio::runtime::Handle;

use crate::ask::Asker;
use crate::bridge::Bridge;
use crate::gvl::check_interrupts;
use crate::log::{Line, Log};
use crate::pool::Pool;
use crate::queue::{Answers, Batch, Call, Event, Question, lines_of};

/// How often the process title may change.
const TITLE_PERIOD: Duration = Duration::from_secs(1);

/// Answers wait at most this long for the rest of their batch, but for the call that is under way.
const PATIENCE: Duration = Duration::from_micros(500);

/// A call that takes longer is slow: soon after one, no answer waits for another call. Well above what
/// a thread loses when another one gets its processor, which would cost a wake-up for each answer.
const SLOW: Duration = Duration::from_millis(10);

/// How long "soon after" is.
const SLOW_PERIOD: Duration = Duration::from_secs(2);

/// Serves a bridge on the Ruby thread.
pub struct Dispatcher<'a> {
    bridge: &'a Arc<Bridge>,
    asker: Asker<'a>,
    /// Those who answer beside this thread, if there are any.
    pool: Option<&'a Pool>,
    log: Log,
    batches: VecDeque<Batch>,
    calls: VecDeque<Call>,
    answers: Answers,
    last_slow: Option<Instant>,
    title_renewed: Option<Instant>,
}

impl<'a> Dispatcher<'a> {
    pub fn new(bridge: &'a Arc<Bridge>, asker: Asker<'a>, pool: Option<&'a Pool>) -> Self {
        Self {
            bridge,
            asker,
            pool,
            log: Log::new(),
            batches: VecDeque::new(),
            calls: VecDeque::new(),
            answers: Answers::default(),
            last_slow: None,
            title_renewed: None,
        }
    }

    /// Serves until the engine has finished.
    ///
    /// # Errors
    /// What must end `run`: `exit`, a signal's exception, `Thread#kill`, a fork.
    pub fn serve(&mut self) -> Result<(), Error> {
        loop {
            self.asker.check_fork()?;
            let finished = self.bridge.queue.is_finished();
            self.batches.extend(self.bridge.queue.take());
            if self.batches.is_empty() {
                if finished {
                    return Ok(());
                }
                let limit = self.renew_title()?;
                self.asker.check_fork()?;
                self.bridge.queue.signal.wait(limit)?;
                continue;
            }
            self.follow_logger()?;
            while let Some(batch) = self.batches.pop_front() {
                self.answer(batch)?;
            }
            self.renew_title()?;
            check_interrupts()?;
        }
    }

    /// What was to be logged when `serve` ended early. Calls no Ruby.
    pub fn into_lines(self) -> Vec<Line> {
        let mut lines = self.asker.lines;
        lines.extend(lines_of(self.batches));
        lines.extend(self.bridge.queue.take_lines());
        lines
    }

    /// What has happened is logged before the blocks are called, and what they answered after that:
    /// so lines that a block logs itself stand where they belong, and each batch is written twice
    /// at most.
    fn answer(&mut self, batch: Batch) -> Result<(), Error> {
        for event in batch.events {
            match event {
                Event::Line(line) => self.asker.lines.push(line),
                Event::Call(call) => self.calls.push_back(call),
            }
        }
        self.log.write(&mut self.asker.lines, self.asker.handler)?;

        let origin = batch.origin.as_ref();
        while let Some(call) = self.calls.pop_front() {
            if self.last_slow.is_some_and(|then| then.elapsed() < SLOW_PERIOD) {
                self.answers.deliver(origin);
            }
            let called = Instant::now();
            self.call(call, origin)?;
            let taken = called.elapsed();
            if taken > SLOW {
                self.last_slow = Some(Instant::now());
            }
            if taken > PATIENCE {
                self.answers.deliver(origin);
                self.log.write(&mut self.asker.lines, self.asker.handler)?;
                self.renew_title()?;
            }
        }
        self.answers.deliver(origin);
        self.log.write(&mut self.asker.lines, self.asker.handler)
    }

    fn call(&mut self, call: Call, origin: Option<&Handle>) -> Result<(), Error> {
        match (call, self.pool) {
            (Call::Block(question), Some(pool)) => pool.push(question, origin.cloned()),
            (Call::Block(question), None) if question.is_abandoned() => {}
            (Call::Block(Question { block, client, data, posted, answer }), None) => {
                let verdict = self.asker.decide(block, &client, data, posted)?;
                self.answers.push(answer, verdict);
            }
            (Call::Callback { failure, client, remote, answer }, _) => {
                let verdict = self.asker.consult(failure, &client, remote)?;
                let _ = answer.send(verdict);
            }
        }
        Ok(())
    }

    /// Follows a LOGGER that was reassigned or whose level was changed.
    fn follow_logger(&self) -> Result<(), Error> {
        let info = self.asker.handler.funcall("info?", ())?;
        self.bridge.info.store(info, Relaxed);
        Ok(())
    }

    /// Renews a title that is not true any more; returns how long to wait until it may be.
    fn renew_title(&mut self) -> Result<Option<Duration>, Error> {
        if !self.bridge.title_stale.load(Relaxed) {
            return Ok(None);
        }
        let rest = self.title_renewed.and_then(|then| TITLE_PERIOD.checked_sub(then.elapsed()));
        if rest.is_some() {
            return Ok(rest);
        }
        self.bridge.title_stale.store(false, Relaxed);
        self.title_renewed = Some(Instant::now());
        self.asker.handler.funcall::<_, _, Value>("title", ())?;
        Ok(None)
    }
}
