//! Parking: a quiet connection gives up its registrations with the runtime.
//!
//! tokio keeps 256 bytes for each registered socket, which is half of an idle connection. So the sockets of a connection
//! where nothing has moved for a second are moved to a second epoll instance of the thread, which is registered with the
//! runtime itself (epoll(7): "epoll instances can be nested") and needs a number for each socket. The first event wakes
//! the connection's task, and any use of the sockets registers them with the runtime again.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use slab::Slab;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, Sleep, sleep};

use super::sys::register;
use super::thread_id;

/// A connection that was quiet from one tick to the one after the next is parked.
const TICK: Duration = Duration::from_millis(500);

/// Tasks woken in one turn, before other connections get theirs: parking takes four system calls.
const BATCH: usize = 16;

/// Entries of places that were left, removed from the queue in one turn.
const MAX_SKIPPED: usize = 1024;

/// The tick at which a parked connection is due.
const NEVER: u32 = u32::MAX;

/// Parked connections after which memory is given back: each has freed 256 or 512 bytes.
const WORTH_FREEING: usize = 256;

/// Ticks from one time that memory is given back to the next. Where all connections fall silent and wake together, it comes
/// and goes with them.
const FREEING_INTERVAL: u32 = 4;

/// Places that a thread has room for from the start.
const CAPACITY: usize = 1024;

thread_local! {
    static LOT: RefCell<Option<Lot>> = const { RefCell::new(None) };
}

/// The places of one thread.
pub(crate) struct Lot {
    /// The epoll instance that watches the parked sockets.
    epoll: AsyncFd<OwnedFd>,
    places: Slab<Entry>,
    /// The places that are not parked, in the order in which they are due. A place whose `due` is another one is in the
    /// queue once more, or was left.
    queue: VecDeque<(Key, u32)>,
    /// Counts the ticks while places wait: enough numbers for 68 years.
    tick: u32,
    /// Connections that were parked since memory was last given back.
    parked: usize,
    /// The tick from which on memory may be given back.
    freeing_due: u32,
    /// Wakes [`drive`], which sleeps while the queue is empty.
    driver: Waker,
}

struct Entry {
    /// Wakes the connection's task.
    waker: Waker,
    /// The tick at which the connection is to be parked unless something has moved.
    due: u32,
    /// Whether that tick has come.
    is_due: bool,
}

/// The result of a turn.
#[derive(Default)]
struct Turn {
    /// Whether there may be more to do at once.
    has_more: bool,
    /// Whether it is time to give back the memory of parked connections.
    has_freed: bool,
}

/// The number of a place, from 1 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(NonZeroU32);

/// The place of a connection among those of its thread.
#[derive(Debug, Default)]
pub(crate) struct Place {
    key: Option<Key>,
    /// The thread whose place it is.
    thread: u16,
    /// Whether something has moved since the place was due.
    has_moved: bool,
    is_parked: bool,
}

/// What a place has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Something has moved of late.
    Busy,
    /// Nothing has moved for half a second or longer: the sockets are to be parked.
    Quiet(Key),
}

impl Place {
    /// Called whenever the connection's task goes to sleep. `moved` tells of traffic since the last call. Returns a result
    /// after half a second to a second, and again in such intervals while traffic moves. Where nothing can be parked, it
    /// returns one at once.
    pub(crate) fn wait(&mut self, cx: &mut Context<'_>, moved: bool) -> Option<Due> {
        match self.key {
            Some(_) if moved && !self.is_parked => self.has_moved = true,
            Some(key) => return self.look(key, cx, moved),
            None => return self.enter(cx),
        }
        None
    }

    fn enter(&mut self, cx: &mut Context<'_>) -> Option<Due> {
        self.thread = thread_id::current();
        self.key = with_lot(|lot| lot.enter(cx.waker().clone()));
        self.key.is_none().then_some(Due::Busy)
    }

    #[cold]
    fn look(&mut self, key: Key, cx: &mut Context<'_>, moved: bool) -> Option<Due> {
        with_lot(|lot| {
            let entry = lot.places.get_mut(key.index())?;
            entry.waker.clone_from(cx.waker());
            if self.is_parked {
                (self.has_moved, self.is_parked) = (moved, false);
                lot.renew(key);
                return Some(Due::Busy);
            }
            if !std::mem::take(&mut entry.is_due) {
                return None;
            }
            if std::mem::take(&mut self.has_moved) {
                return Some(Due::Busy);
            }
            self.is_parked = true;
            entry.due = NEVER;
            lot.parked += 1;
            Some(Due::Quiet(key))
        })
    }
}

/// A socket may stay parked where nobody waits for it: the next use registers it again.
impl Drop for Place {
    fn drop(&mut self) {
        if let Some(key) = self.key.filter(|_| thread_id::is_current(self.thread)) {
            with_lot(|lot| lot.places.try_remove(key.index()));
        }
    }
}

impl Key {
    fn of(index: usize) -> Option<Self> {
        u32::try_from(index).ok()?.checked_add(1).and_then(NonZeroU32::new).map(Self)
    }

    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

impl Lot {
    /// Opens the epoll instance, which is registered with the runtime of the caller.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub(crate) fn open() -> io::Result<Self> {
        let epoll = register(epoll::create(epoll::CreateFlags::CLOEXEC)?, Interest::READABLE)?;
        let (places, queue) = (Slab::with_capacity(CAPACITY), VecDeque::with_capacity(CAPACITY));
        Ok(Self { epoll, places, queue, tick: 0, parked: 0, freeing_due: 0, driver: Waker::noop().clone() })
    }

    fn enter(&mut self, waker: Waker) -> Option<Key> {
        let entry = self.places.vacant_entry();
        let key = Key::of(entry.key())?;
        entry.insert(Entry { waker, due: 0, is_due: false });
        self.renew(key);
        Some(key)
    }

    /// Makes a place due two ticks from now.
    fn renew(&mut self, key: Key) {
        if self.queue.is_empty() {
            self.driver.wake_by_ref();
        }
        let due = self.tick + 2;
        if let Some(entry) = self.places.get_mut(key.index()) {
            (entry.due, entry.is_due) = (due, false);
            self.queue.push_back((key, due));
        }
    }

    /// Wakes the tasks that have something to do.
    fn turn(&mut self, cx: &mut Context<'_>, ticker: &mut Ticker) -> Turn {
        self.driver.clone_from(cx.waker());
        let mut has_freed = false;
        while ticker.poll(cx, !self.queue.is_empty() || self.parked >= WORTH_FREEING).is_ready() {
            has_freed |= self.tick();
        }
        let has_events = self.poll_events(cx).is_ready();
        let has_more = self.wake_due();
        self.shrink();
        Turn { has_more: has_more || has_events, has_freed }
    }

    /// Counts a tick. Returns whether it is time to give memory back.
    fn tick(&mut self) -> bool {
        self.tick += 1;
        let has_freed = self.parked >= WORTH_FREEING && self.tick >= self.freeing_due;
        if has_freed {
            (self.parked, self.freeing_due) = (0, self.tick + FREEING_INTERVAL);
        }
        has_freed
    }

    /// Wakes the tasks whose sockets have an event. Ready if there may be more.
    fn poll_events(&self, cx: &mut Context<'_>) -> Poll<()> {
        const NONE: epoll::Event =
            epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) };
        loop {
            let Ok(mut guard) = ready!(self.epoll.poll_read_ready(cx)) else { return Poll::Pending };
            let mut events = [NONE; BATCH];
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            let count = epoll::wait(self.epoll.get_ref(), &mut events, Some(&now)).unwrap_or_default();
            for event in &events[..count] {
                let place = self.places.get(event.data.u64() as usize);
                place.inspect(|place| place.waker.wake_by_ref());
            }
            if count == BATCH {
                return Poll::Ready(());
            }
            guard.clear_ready();
        }
    }

    /// Wakes the tasks of places that are due, which stay in the queue until they are parked. Returns whether there may be
    /// more.
    fn wake_due(&mut self) -> bool {
        let (mut woken, mut skipped) = (0, 0);
        while woken < BATCH && skipped < MAX_SKIPPED {
            let Some((key, due)) = self.queue.front().copied() else { return false };
            match self.places.get_mut(key.index()).filter(|entry| entry.due == due) {
                None => skipped += 1,
                Some(_) if due > self.tick => return false,
                Some(entry) => {
                    woken += 1;
                    (entry.due, entry.is_due) = (self.tick + 2, true);
                    entry.waker.wake_by_ref();
                    self.queue.push_back((key, self.tick + 2));
                }
            }
            self.queue.pop_front();
        }
        true
    }

    /// Frees what a rush of connections has left.
    fn shrink(&mut self) {
        if self.queue.is_empty() && self.queue.capacity() > CAPACITY {
            self.queue.shrink_to(CAPACITY);
            self.places.shrink_to_fit();
        }
    }
}

/// Calls `f` with the places of this thread; `None` if it has none.
fn with_lot<T>(f: impl FnOnce(&mut Lot) -> Option<T>) -> Option<T> {
    LOT.try_with(|lot| f(lot.borrow_mut().as_mut()?)).ok().flatten()
}

/// Watches a descriptor: the next event wakes the task at `key`. Returns whether the system does.
pub(super) fn watch(fd: BorrowedFd<'_>, key: Key) -> bool {
    use epoll::EventFlags;
    // Errors are always reported.
    let events = EventFlags::IN | EventFlags::RDHUP | EventFlags::PRI | EventFlags::ONESHOT;
    let watched = with_lot(|lot| {
        lot.places.get(key.index())?;
        epoll::add(lot.epoll.get_ref(), fd, epoll::EventData::new_u64(key.index() as u64), events).ok()
    });
    watched.is_some()
}

/// Watches a descriptor no more.
pub(super) fn forget(fd: BorrowedFd<'_>) {
    with_lot(|lot| epoll::delete(lot.epoll.get_ref(), fd).ok());
}

/// Parks the quiet connections of this thread. Without this task none are parked. Calls `freed` when many connections have
/// been parked, each of which has freed memory.
pub(crate) async fn drive(lot: Lot, freed: impl Fn()) {
    LOT.set(Some(lot));
    let mut ticker = Ticker::default();
    poll_fn(|cx| {
        let turn = with_lot(|lot| Some(lot.turn(cx, &mut ticker))).unwrap_or_default();
        if turn.has_freed {
            freed();
        }
        if turn.has_more {
            cx.waker().wake_by_ref();
        }
        Poll::<()>::Pending
    })
    .await;
}

/// Ticks while it is polled with `is_needed`.
#[derive(Default)]
struct Ticker {
    sleep: Option<Pin<Box<Sleep>>>,
    is_running: bool,
}

impl Ticker {
    fn poll(&mut self, cx: &mut Context<'_>, is_needed: bool) -> Poll<()> {
        if !self.is_running {
            if !is_needed {
                return Poll::Pending;
            }
            match &mut self.sleep {
                Some(sleep) => sleep.as_mut().reset(Instant::now() + TICK),
                None => self.sleep = Some(Box::pin(sleep(TICK))),
            }
            self.is_running = true;
        }
        let sleep = self.sleep.as_mut().expect("a running ticker sleeps");
        ready!(sleep.as_mut().poll(cx));
        self.is_running = false;
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests;
