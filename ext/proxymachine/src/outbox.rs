//! The outbox of an engine thread: collects the events of one turn of the event loop and sends them as one
//! batch.
//!
//! Waking the Ruby thread costs more than a call of a block. A batch needs one wake-up for many calls. A large batch
//! costs more again: what the first of its connections need has left the processor's cache when their answers come.

use std::cell::RefCell;
use std::mem;
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::event::Event;
use crate::mailbox::{Batch, Mailbox};

/// Events that are sent at once, even if more are expected in this turn.
const MAX_BATCH: usize = 128;

thread_local! {
    static OUTBOX: RefCell<Vec<Event>> = const { RefCell::new(Vec::new()) };
}

/// Sends an event at the end of this turn. Must be called on an engine thread.
pub fn post(mailbox: &Arc<Mailbox>, event: Event) {
    let count = OUTBOX.with_borrow_mut(|outbox| {
        outbox.push(event);
        outbox.len()
    });
    if count == 1 {
        let mailbox = Arc::clone(mailbox);
        tokio::spawn(async move {
            end_of_turn().await;
            flush(&mailbox, Some(Handle::current()));
        });
    } else if count == MAX_BATCH {
        flush(mailbox, Some(Handle::current()));
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
