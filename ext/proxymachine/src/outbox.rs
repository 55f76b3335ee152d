//! The outbox of an engine thread: collects the events of one turn of the event loop and sends them as one
//! batch.
//!
//! Waking the Ruby thread costs more than a call of a block. A batch needs one wake-up for many calls. A large batch
//! costs more again: what the first of its connections need has left the processor's cache when their answers come.

use std::cell::{Cell, RefCell};
use std::mem;
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::event::Event;
use crate::mailbox::{Batch, Mailbox};

/// Events that are sent at once, even if more are expected in this turn.
const MAX_BATCH: usize = 128;

thread_local! {
    static OUTBOX: RefCell<Vec<Event>> = const { RefCell::new(Vec::new()) };
    /// Whether a task waits for the end of the turn.
    static WAITS: Cell<bool> = const { Cell::new(false) };
}

/// Sends an event at the end of this turn. Must be called on an engine thread.
pub fn post(mailbox: &Arc<Mailbox>, event: Event) {
    let count = OUTBOX.with_borrow_mut(|outbox| {
        outbox.push(event);
        outbox.len()
    });
    if count == MAX_BATCH {
        flush(mailbox, Some(Handle::current()));
    } else if !WAITS.replace(true) {
        let mailbox = Arc::clone(mailbox);
        tokio::spawn(async move {
            end_of_turn().await;
            WAITS.set(false);
            flush(&mailbox, Some(Handle::current()));
        });
    }
}

/// Sends the collected events now. Their replies go to `origin`.
pub fn flush(mailbox: &Mailbox, origin: Option<Handle>) {
    // The next turn probably has as many events as this one.
    let events = OUTBOX.with_borrow_mut(|outbox| {
        let next = Vec::with_capacity(outbox.len());
        mem::replace(outbox, next)
    });
    if !events.is_empty() {
        mailbox.push(Batch { events, origin });
    }
}

/// Waits until the runtime has polled the sockets again and no further event was posted. Larger batches save
/// a third of the cost of a call when the thread is saturated.
async fn end_of_turn() {
    let mut previous = 0;
    loop {
        let posted = OUTBOX.with_borrow(Vec::len);
        if posted == previous {
            return;
        }
        previous = posted;
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use super::*;
    use crate::log::{Line, Severity};

    /// Posts events while each turn brings some, and returns the sizes of the batches.
    fn posted(turns: usize, each: usize) -> Vec<usize> {
        let mailbox = Arc::new(Mailbox::new(1));
        Builder::new_current_thread().build().unwrap().block_on(async {
            for _ in 0..turns {
                for _ in 0..each {
                    post(&mailbox, Event::Line(Line::new(Severity::Info, String::new())));
                }
                let tasks = Handle::current().metrics().num_alive_tasks();
                assert!(tasks <= 1, "{tasks} tasks wait for the end of the turn");
                tokio::task::yield_now().await;
            }
            while Handle::current().metrics().num_alive_tasks() > 0 {
                tokio::task::yield_now().await;
            }
        });
        mailbox.take().iter().map(|batch| batch.events.len()).collect()
    }

    #[test]
    fn a_full_batch_is_sent_at_once_and_one_task_sends_the_rest() {
        assert_eq!(posted(1, MAX_BATCH + 1), [MAX_BATCH, 1]);
        let sizes = posted(100, 70);
        assert_eq!(sizes.iter().sum::<usize>(), 7000);
        assert!(sizes.iter().all(|size| *size <= MAX_BATCH), "{sizes:?}");
    }

    #[test]
    fn the_events_of_turns_that_follow_each_other_are_one_batch() {
        assert_eq!(posted(3, 2), [6]);
    }
}
