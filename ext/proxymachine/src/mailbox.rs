//! The mailbox of the Ruby thread: batches of events that wait until the thread is free.

use std::mem;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Handle;

use crate::event::Event;
use crate::gvl::Wakeup;
use crate::lock;
use crate::log::{Line, Severity, count_dropped};

/// Log lines that may wait while a block or the log is slow. Further lines are dropped.
const MAX_LINES: usize = 100_000;

/// Calls that may wait before the abandoned ones are removed.
pub const PRUNE_THRESHOLD: usize = 1024;

/// The events of one turn of an engine thread.
pub struct Batch {
    pub events: Vec<Event>,
    /// Runtime of the sender, which gets the replies. None if the sender expects no reply.
    pub origin: Option<Handle>,
}

/// The mailbox of the Ruby thread.
pub struct Mailbox {
    pending: Mutex<Pending>,
    /// Wakes the Ruby thread: for a batch, for the end of the engine, or to renew the process title.
    pub wakeup: Wakeup,
    /// Wakes the thread that waits for the end of all engine threads.
    pub finished: Wakeup,
    /// Engine threads that have not finished.
    threads: AtomicUsize,
}

impl Mailbox {
    /// Returns an empty mailbox for `threads` engine threads.
    pub fn new(threads: usize) -> Self {
        Self {
            pending: Mutex::default(),
            wakeup: Wakeup::default(),
            finished: Wakeup::default(),
            threads: AtomicUsize::new(threads),
        }
    }

    /// Adds events that expect no reply.
    pub fn send(&self, events: Vec<Event>) {
        self.push(Batch { events, origin: None });
    }

    /// Adds a batch and wakes the Ruby thread.
    pub fn push(&self, batch: Batch) {
        lock(&self.pending).add(batch);
        self.wakeup.wake();
    }

    /// Takes all batches.
    pub fn take(&self) -> Vec<Batch> {
        lock(&self.pending).take()
    }

    /// Takes only the log lines, for a log that is written while a block holds the Ruby thread. The calls
    /// stay.
    pub fn take_lines(&self) -> Vec<Line> {
        lock(&self.pending).take_lines()
    }

    /// Notes that an engine thread has finished.
    pub fn thread_finished(&self) {
        if self.threads.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.wakeup.wake();
            self.finished.wake();
        }
    }

    /// Returns whether all engine threads have finished.
    pub fn is_finished(&self) -> bool {
        self.threads.load(Ordering::Acquire) == 0
    }
}

/// The waiting batches. Their size is bounded, since clients come and leave while the Ruby thread is busy.
#[derive(Default)]
struct Pending {
    batches: Vec<Batch>,
    lines: usize,
    calls: usize,
    /// Calls that were not abandoned at the last pruning.
    live_calls: usize,
    /// Lines dropped since the last take.
    dropped_lines: usize,
}

impl Pending {
    fn add(&mut self, mut batch: Batch) {
        let lines = batch.events.iter().filter(|event| event.is_line()).count();
        self.calls += batch.events.len() - lines;
        if self.lines + lines > MAX_LINES {
            batch.events.retain(|event| !event.is_line());
            self.dropped_lines += lines;
            count_dropped(lines as u64);
        } else {
            self.lines += lines;
        }
        self.batches.push(batch);
        if self.calls > PRUNE_THRESHOLD.max(2 * self.live_calls) {
            self.prune();
        }
    }

    /// Removes the calls of clients that have left, and frees their data.
    fn prune(&mut self) {
        self.calls = 0;
        self.batches.retain_mut(|batch| {
            batch.events.retain(|event| !event.is_abandoned());
            batch.events.shrink_to_fit();
            self.calls += batch.events.iter().filter(|event| !event.is_line()).count();
            !batch.events.is_empty()
        });
        self.live_calls = self.calls;
    }

    fn take(&mut self) -> Vec<Batch> {
        self.report_dropped_lines();
        mem::take(self).batches
    }

    fn take_lines(&mut self) -> Vec<Line> {
        self.report_dropped_lines();
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

    fn report_dropped_lines(&mut self) {
        let dropped = mem::take(&mut self.dropped_lines);
        if dropped > 0 {
            let text = format!("Lost {dropped} log lines: {MAX_LINES} waited for a block or for the log.");
            let line = Event::Line(Line::new(Severity::Warn, text));
            self.batches.push(Batch { events: vec![line], origin: None });
        }
    }
}

/// Returns the log lines of some batches.
pub fn lines_of(batches: impl IntoIterator<Item = Batch>) -> impl Iterator<Item = Line> {
    batches.into_iter().flat_map(|batch| batch.events).filter_map(|event| match event {
        Event::Line(line) => Some(line),
        Event::Call(_) => None,
    })
}
