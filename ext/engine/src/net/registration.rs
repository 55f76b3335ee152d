//! The registration of a socket with the runtime of its thread, which can be given up while the connection is quiet.
//!
//! `unsafe` stands here, since a registration comes and goes behind a shared reference, and a lock for each read and
//! write would cost more than the check of the thread.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::parking::{self, Key};
use super::thread_id;

/// The number of a descriptor that a [`Registration`] owns.
#[derive(Debug)]
pub(super) struct Descriptor(RawFd);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

/// A descriptor that is registered with the runtime of the thread that created it, or parked. Other threads may hold it
/// and drop it; they cannot wait for it.
#[derive(Debug)]
pub(super) struct Registration {
    /// `None` while the descriptor is parked. Dropped before the descriptor is closed.
    io: UnsafeCell<Option<AsyncFd<Descriptor>>>,
    fd: OwnedFd,
    /// The thread that may use `io`.
    thread: u16,
    /// Number of references to `io`. It is not replaced meanwhile.
    borrows: AtomicU8,
    /// Flags of the owner, which fit here without taking room.
    pub(super) flags: AtomicU8,
}

// SAFETY: only `thread` uses the cell, which `check_thread` ensures; an AsyncFd may be dropped by any thread.
unsafe impl Sync for Registration {}

impl Registration {
    /// Registers a descriptor with the runtime of this thread.
    pub(super) fn new(fd: OwnedFd, interest: Interest, flags: u8) -> io::Result<Self> {
        let io = register(&fd, interest)?;
        Ok(Self {
            io: UnsafeCell::new(Some(io)),
            fd,
            thread: thread_id::current(),
            borrows: AtomicU8::new(0),
            flags: AtomicU8::new(flags),
        })
    }

    /// Returns the registration. A parked descriptor is registered again.
    ///
    /// # Errors
    /// If the runtime's epoll instance refuses it.
    pub(super) fn io(&self, interest: Interest) -> io::Result<Io<'_>> {
        self.check_thread();
        // SAFETY: this thread alone uses the cell, and the reference ends here.
        if unsafe { &*self.io.get() }.is_none() {
            self.unpark(interest)?;
        }
        // SAFETY: this thread alone uses the cell, which nothing changes while `Io` keeps the count above zero.
        let io = unsafe { &*self.io.get() }.as_ref().expect("the descriptor was registered");
        let borrows = self.borrows.load(Relaxed).checked_add(1).expect("a task waits for few events at once");
        self.borrows.store(borrows, Relaxed);
        Ok(Io { io, registration: self })
    }

    /// Gives up the registration: the next event wakes the task at `key`. Returns `false`, and does nothing, if something
    /// waits for the descriptor, or if it cannot be parked.
    pub(super) fn park(&self, key: Key) -> bool {
        self.check_thread();
        if self.borrows.load(Relaxed) > 0 || !parking::watch(self.as_fd(), key) {
            return false;
        }
        // SAFETY: this thread alone uses the cell, and there are no references to what is in it.
        drop(unsafe { &mut *self.io.get() }.take());
        true
    }

    fn unpark(&self, interest: Interest) -> io::Result<()> {
        // First, since the system may bound what all instances watch. Events that come meanwhile are reported again.
        parking::forget(self.as_fd());
        let io = register(&self.fd, interest)?;
        // SAFETY: this thread alone uses the cell, and there are no references to what is in it: it is empty.
        unsafe { *self.io.get() = Some(io) };
        Ok(())
    }

    fn check_thread(&self) {
        assert!(thread_id::is_current(self.thread), "a socket is used by the thread that registered it");
    }
}

impl AsFd for Registration {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if self.io.get_mut().is_none() {
            parking::forget(self.fd.as_fd());
        }
    }
}

/// A reference to a registration, which is not given up meanwhile.
pub(super) struct Io<'a> {
    io: &'a AsyncFd<Descriptor>,
    registration: &'a Registration,
}

impl Deref for Io<'_> {
    type Target = AsyncFd<Descriptor>;

    fn deref(&self) -> &Self::Target {
        self.io
    }
}

impl Drop for Io<'_> {
    fn drop(&mut self) {
        // Another thread may drop a task; the descriptor is then never parked again.
        if thread_id::is_current(self.registration.thread) {
            let borrows = &self.registration.borrows;
            borrows.store(borrows.load(Relaxed) - 1, Relaxed);
        }
    }
}

fn register(fd: &OwnedFd, interest: Interest) -> io::Result<AsyncFd<Descriptor>> {
    // SAFETY: the descriptor stays open while its `Registration` lives, which drops the AsyncFd first.
    Ok(unsafe { AsyncFd::register_with_interest(Descriptor(fd.as_raw_fd()), interest) }?)
}
