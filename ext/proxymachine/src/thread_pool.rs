//! The thread pool of `threads N`: Ruby threads that call blocks, for blocks that wait for databases.
//!
//! The thread that called `run` still handles signals, writes the log and runs the callbacks. It passes the
//! calls of blocks to the pool.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use magnus::{Error, Ruby};
use tokio::runtime::Handle;

use crate::block_call::BlockCaller;
use crate::event::{BlockCall, Event};
use crate::gvl::Wakeup;
use crate::handler::Handler;
use crate::lock;
use crate::mailbox::PRUNE_THRESHOLD;
use crate::replies::Replies;
use crate::shared::RubyShared;

/// The waiting calls and the idle threads.
#[derive(Default)]
pub struct ThreadPool {
    calls: Mutex<PendingCalls>,
    idle: Mutex<Vec<Arc<Wakeup>>>,
    is_closed: AtomicBool,
}

#[derive(Default)]
struct PendingCalls {
    queue: VecDeque<(BlockCall, Option<Handle>)>,
    /// Calls that were not abandoned at the last pruning.
    live_calls: usize,
}

impl PendingCalls {
    /// Adds a call. A long queue is pruned of the calls of clients that have left.
    fn push(&mut self, call: BlockCall, origin: Option<Handle>) {
        self.queue.push_back((call, origin));
        if self.queue.len() > PRUNE_THRESHOLD.max(2 * self.live_calls) {
            self.queue.retain(|(call, _)| !call.is_abandoned());
            self.live_calls = self.queue.len();
        }
    }
}

impl ThreadPool {
    /// Queues a call and wakes the idle thread that was busy last, whose caches are warm.
    pub fn push(&self, call: BlockCall, origin: Option<Handle>) {
        lock(&self.calls).push(call, origin);
        if let Some(idle) = lock(&self.idle).pop() {
            idle.wake();
        }
    }

    /// Ends `serve` on all threads as soon as the queue is empty.
    pub fn close(&self) {
        self.is_closed.store(true, SeqCst);
        lock(&self.idle).drain(..).for_each(|idle| idle.wake());
    }

    /// Calls blocks on this Ruby thread until the pool is closed.
    ///
    /// # Errors
    /// Returns what must end `run` or this thread: see [`BlockCaller::decide`].
    pub fn serve(&self, ruby: &Ruby, shared: &Arc<RubyShared>, handler: Handler) -> Result<(), Error> {
        let mut caller = BlockCaller::new(ruby, shared, handler);
        let mut replies = Replies::default();
        loop {
            caller.check_fork()?;
            let next = lock(&self.calls).queue.pop_front();
            if let Some((call, origin)) = next {
                if call.is_abandoned() {
                    continue;
                }
                let BlockCall { block, client, data, posted, reply } = call;
                let decided = caller.decide(block, &client, data, posted, Instant::now());
                if !caller.lines.is_empty() {
                    shared.mailbox.send(caller.lines.drain(..).map(Event::Line).collect());
                }
                replies.push(reply, decided?);
                replies.deliver(origin.as_ref());
                continue;
            }
            if self.is_closed.load(SeqCst) {
                return Ok(());
            }
            // With RUBY_MN_THREADS=1 a Ruby thread may be on another native thread at each wait.
            let wakeup = Arc::new(Wakeup::for_pool_thread());
            // A call that is pushed from here on wakes this thread. The second look finds earlier ones.
            lock(&self.idle).push(Arc::clone(&wakeup));
            if lock(&self.calls).queue.is_empty() && !self.is_closed.load(SeqCst) {
                let waited = wakeup.wait(None);
                self.remove_idle(&wakeup);
                waited?;
            } else {
                self.remove_idle(&wakeup);
            }
        }
    }

    /// Removes a thread from the idle list, also if Ruby woke the thread for something else.
    fn remove_idle(&self, wakeup: &Arc<Wakeup>) {
        lock(&self.idle).retain(|idle| !Arc::ptr_eq(idle, wakeup));
    }
}
