//! From the engine's threads to the Ruby thread, and back, in batches.
//!
//! What costs is waking a thread, not asking Ruby: so an engine thread collects what its connections
//! have to say in one turn and sends it at the turn's end, and the answers to a batch come back
//! together, each delivered by one task.

use std::cell::RefCell;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use proxymachine_engine::{Answer, Client, Failure, Verdict};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::gvl::Signal;
use crate::lock;
use crate::log::{Line, Severity};

/// What an engine thread tells or asks.
pub enum Event {
    /// A line for the log.
    Line(Line),
    /// Something of the config is to be called.
    Call(Call),
}

impl Event {
    fn is_line(&self) -> bool {
        matches!(self, Self::Line(_))
    }

    fn is_abandoned(&self) -> bool {
        matches!(self, Self::Call(Call::Block(question)) if question.is_abandoned())
    }
}

/// What of the config is to be called.
pub enum Call {
    /// A block that decides.
    Block(Question),
    /// The callback for a failure.
    Callback { failure: Failure, client: Client, remote: String, answer: oneshot::Sender<Option<Verdict>> },
}

/// Where should this connection go?
pub struct Question {
    pub block: Block,
    pub client: Client,
    pub data: Bytes,
    pub posted: Instant,
    pub answer: oneshot::Sender<Answer>,
}

impl Question {
    /// Whether the client has left meanwhile.
    pub fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
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

/// So many events are worth a wake-up even if more are on their way.
const FULL: usize = 128;

/// Resolves when this thread has nothing more to say for now: another look at the sockets, which is what
/// yielding amounts to, has brought no event. That saves a third of what a question costs at saturation.
async fn turn_end() {
    let mut said = 0;
    loop {
        let says = OUTBOX.with_borrow(Vec::len);
        if says == said || says >= FULL {
            return;
        }
        said = says;
        tokio::task::yield_now().await;
    }
}

/// What one thread had to say in one turn.
pub struct Batch {
    pub events: Vec<Event>,
    /// Where the answers go; none for a thread that expects none.
    pub origin: Option<Handle>,
}

/// Lines that may wait for a block that takes its time, or for a log that takes none; further ones are lost.
const LINES: usize = 100_000;

/// So many calls may wait before it is looked whether somebody waits for them.
pub const CALLS: usize = 1024;

/// What waits for the Ruby thread, however long that is busy: clients come and leave meanwhile.
#[derive(Default)]
struct Waiting {
    batches: Vec<Batch>,
    lines: usize,
    calls: usize,
    /// Calls that somebody waited for at the last look.
    wanted: usize,
    /// Lines that found no room.
    lost: usize,
}

impl Waiting {
    fn add(&mut self, mut batch: Batch) {
        let lines = batch.events.iter().filter(|event| event.is_line()).count();
        self.calls += batch.events.len() - lines;
        if self.lines + lines > LINES {
            batch.events.retain(|event| !event.is_line());
            self.lost += lines;
        } else {
            self.lines += lines;
        }
        self.batches.push(batch);
        if self.calls > CALLS.max(2 * self.wanted) {
            self.forget_abandoned();
        }
    }

    /// What a client has sent is not kept when it has left.
    fn forget_abandoned(&mut self) {
        self.calls = 0;
        self.batches.retain_mut(|batch| {
            batch.events.retain(|event| !event.is_abandoned());
            batch.events.shrink_to_fit();
            self.calls += batch.events.iter().filter(|event| !event.is_line()).count();
            !batch.events.is_empty()
        });
        self.wanted = self.calls;
    }

    fn take(&mut self) -> Vec<Batch> {
        self.tell_lost();
        mem::take(self).batches
    }

    /// The lines alone. What is asked waits on.
    fn take_lines(&mut self) -> Vec<Line> {
        self.tell_lost();
        self.lines = 0;
        let mut lines = Vec::new();
        for batch in &mut self.batches {
            for event in mem::take(&mut batch.events) {
                match event {
                    Event::Line(line) => lines.push(line),
                    call @ Event::Call(_) => batch.events.push(call),
                }
            }
        }
        lines
    }

    fn tell_lost(&mut self) {
        let lost = mem::take(&mut self.lost);
        if lost > 0 {
            let text = format!("Lost {lost} log lines: {LINES} waited for a block or for the log.");
            let line = Event::Line(Line::new(Severity::Warn, text));
            self.batches.push(Batch { events: vec![line], origin: None });
        }
    }
}

/// The events that wait for the Ruby thread.
pub struct Queue {
    waiting: Mutex<Waiting>,
    /// Raised for a batch, the end of the engine, or a title that needs to be renewed.
    pub signal: Signal,
    /// Raised once more when all threads have finished, for whoever waits for that alone.
    pub finished: Signal,
    threads: AtomicUsize,
}

thread_local! {
    static OUTBOX: RefCell<Vec<Event>> = const { RefCell::new(Vec::new()) };
}

impl Queue {
    /// For `threads` engine threads.
    pub fn new(threads: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            signal: Signal::default(),
            finished: Signal::default(),
            threads: AtomicUsize::new(threads),
        }
    }

    /// Sends `event` at the end of this turn. Only for engine threads.
    pub fn post(self: &Arc<Self>, event: Event) {
        let first = OUTBOX.with_borrow_mut(|outbox| {
            outbox.push(event);
            outbox.len() == 1
        });
        if first {
            let queue = Arc::clone(self);
            tokio::spawn(async move {
                turn_end().await;
                queue.flush(Some(Handle::current()));
            });
        }
    }

    /// Sends `events` now, from a thread that is not the engine's.
    pub fn send(&self, events: Vec<Event>) {
        self.push(Batch { events, origin: None });
    }

    fn flush(&self, origin: Option<Handle>) {
        // As much room for the next turn as this one took.
        let events = OUTBOX.with_borrow_mut(|outbox| {
            let room = Vec::with_capacity(outbox.len());
            mem::replace(outbox, room)
        });
        if !events.is_empty() {
            self.push(Batch { events, origin });
        }
    }

    fn push(&self, batch: Batch) {
        lock(&self.waiting).add(batch);
        self.signal.raise();
    }

    /// Takes all that is there.
    pub fn take(&self) -> Vec<Batch> {
        lock(&self.waiting).take()
    }

    /// Takes the lines out of what is there, for a log that cannot wait for the Ruby thread. Whoever asks is asked on.
    pub fn take_lines(&self) -> Vec<Line> {
        lock(&self.waiting).take_lines()
    }

    /// An engine thread is done.
    pub fn thread_finished(&self) {
        self.flush(None);
        if self.threads.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.signal.raise();
            self.finished.raise();
        }
    }

    /// Whether all engine threads are done.
    pub fn is_finished(&self) -> bool {
        self.threads.load(Ordering::Acquire) == 0
    }
}

/// The log lines among what was said.
pub fn lines_of(batches: impl IntoIterator<Item = Batch>) -> impl Iterator<Item = Line> {
    batches.into_iter().flat_map(|batch| batch.events).filter_map(|event| match event {
        Event::Line(line) => Some(line),
        Event::Call(_) => None,
    })
}

/// The answers to a batch, on their way back.
#[derive(Default)]
pub struct Answers {
    verdicts: Vec<(oneshot::Sender<Answer>, Answer)>,
}

impl Answers {
    pub fn push(&mut self, answer: oneshot::Sender<Answer>, verdict: Answer) {
        self.verdicts.push((answer, verdict));
    }

    /// Delivers them all with one wake-up of the engine thread.
    pub fn deliver(&mut self, origin: Option<&Handle>) {
        if self.verdicts.is_empty() {
            return;
        }
        let room = Vec::with_capacity(self.verdicts.len());
        let verdicts = mem::replace(&mut self.verdicts, room);
        if let Some(origin) = origin {
            origin.spawn(async move {
                for (answer, verdict) in verdicts {
                    // A connection that has ended meanwhile wants no answer.
                    let _ = answer.send(verdict);
                }
            });
        }
    }
}
