//! Several Ruby threads that answer, for blocks that wait for databases: `threads N`.
//!
//! The thread that called `run` still hears signals, writes the log and runs the callbacks; it hands
//! the questions on.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use magnus::{Error, Ruby, Value};
use tokio::runtime::Handle;

use crate::ask::Asker;
use crate::bridge::Bridge;
use crate::gvl::Signal;
use crate::lock;
use crate::queue::{Answers, CALLS, Event, Question};

/// What waits for a thread, and the threads that wait for something to do.
#[derive(Default)]
pub struct Pool {
    questions: Mutex<Questions>,
    idle: Mutex<Vec<Arc<Signal>>>,
    closed: AtomicBool,
}

#[derive(Default)]
struct Questions {
    waiting: VecDeque<(Question, Option<Handle>)>,
    /// Those that somebody waited for at the last look.
    wanted: usize,
}

impl Questions {
    /// What a client has sent is not kept when it has left.
    fn push(&mut self, question: Question, origin: Option<Handle>) {
        self.waiting.push_back((question, origin));
        if self.waiting.len() > CALLS.max(2 * self.wanted) {
            self.waiting.retain(|(question, _)| !question.is_abandoned());
            self.wanted = self.waiting.len();
        }
    }
}

impl Pool {
    /// Has a question answered by whoever is free, the one that was busy last first.
    pub fn push(&self, question: Question, origin: Option<Handle>) {
        lock(&self.questions).push(question, origin);
        if let Some(idle) = lock(&self.idle).pop() {
            idle.raise();
        }
    }

    /// Ends `serve` on all threads, once they have nothing to answer.
    pub fn close(&self) {
        self.closed.store(true, SeqCst);
        lock(&self.idle).drain(..).for_each(|idle| idle.raise());
    }

    /// Answers on this Ruby thread until the pool is closed.
    ///
    /// # Errors
    /// What must end `run`, or this thread: see [`Asker::decide`].
    pub fn serve(&self, ruby: &Ruby, bridge: &Arc<Bridge>, handler: Value) -> Result<(), Error> {
        let signal = Arc::new(Signal::for_work());
        let mut asker = Asker::new(ruby, bridge, handler);
        let mut answers = Answers::default();
        loop {
            asker.check_fork()?;
            let next = lock(&self.questions).waiting.pop_front();
            if let Some((question, origin)) = next {
                if question.is_abandoned() {
                    continue;
                }
                let Question { block, client, data, posted, answer } = question;
                let decided = asker.decide(block, &client, data, posted);
                if !asker.lines.is_empty() {
                    bridge.queue.send(asker.lines.drain(..).map(Event::Line).collect());
                }
                answers.push(answer, decided?);
                answers.deliver(origin.as_ref());
                continue;
            }
            if self.closed.load(SeqCst) {
                return Ok(());
            }
            // Whoever pushes after this finds the signal; what came before is found by another look.
            lock(&self.idle).push(Arc::clone(&signal));
            if lock(&self.questions).waiting.is_empty() && !self.closed.load(SeqCst) {
                let waited = signal.wait(None);
                self.forget(&signal);
                waited?;
            } else {
                self.forget(&signal);
            }
        }
    }

    /// It is not idle any more, whoever woke it.
    fn forget(&self, signal: &Arc<Signal>) {
        lock(&self.idle).retain(|idle| !Arc::ptr_eq(idle, signal));
    }
}
