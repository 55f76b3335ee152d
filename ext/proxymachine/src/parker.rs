//! Parks a thread, and wakes it from another thread or from a signal handler.

pub use self::system::{POLL_INTERVAL, Parker};

#[cfg(target_os = "linux")]
mod system {
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering::SeqCst;
    use std::time::Duration;

    use rustix::thread::futex::{self, Flags};
    use rustix::time::Timespec;

    /// A signal ends the wait of the main thread, to which the kernel delivers it, unless it arrives in the moment
    /// before the wait begins.
    pub const POLL_INTERVAL: Duration = Duration::from_secs(1);

    const IDLE: u32 = 0;
    const WOKEN: u32 = 1;
    const PARKED: u32 = 2;

    /// Parks one thread, always the same. Unlike with `std::thread::park_timeout`, a signal ends a wait that has a
    /// limit: futex(2) is not restarted then.
    #[derive(Default)]
    pub struct Parker(AtomicU32);

    impl Parker {
        /// Ends the wait, or the next one.
        pub fn unpark(&self) {
            // SeqCst pairs with park(): what was written before is visible to the thread that was parked.
            if self.0.swap(WOKEN, SeqCst) == PARKED {
                let _ = futex::wake(&self.0, Flags::PRIVATE, 1);
            }
        }

        /// Waits for `unpark`, for at most `limit`. May return early.
        pub fn park(&self, limit: Option<Duration>) {
            if self.0.compare_exchange(IDLE, PARKED, SeqCst, SeqCst).is_ok() {
                let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
                let _ = futex::wait(&self.0, Flags::PRIVATE, PARKED, limit.as_ref());
            }
            self.0.store(IDLE, SeqCst);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::sync::OnceLock;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering::SeqCst;
    use std::thread::{self, Thread};
    use std::time::Duration;

    /// A signal does not end the wait.
    pub const POLL_INTERVAL: Duration = Duration::from_millis(100);

    /// Parks one thread, always the same.
    #[derive(Default)]
    pub struct Parker {
        is_woken: AtomicBool,
        waiter: OnceLock<Thread>,
    }

    impl Parker {
        /// Ends the wait, or the next one.
        pub fn unpark(&self) {
            // SeqCst pairs with park(): the waiter either sees `is_woken`, or has parked and is unparked.
            self.is_woken.store(true, SeqCst);
            if let Some(waiter) = self.waiter.get() {
                waiter.unpark();
            }
        }

        /// Waits for `unpark`, for at most `limit`. May return early.
        pub fn park(&self, limit: Option<Duration>) {
            self.waiter.get_or_init(thread::current);
            if !self.is_woken.swap(false, SeqCst) {
                match limit {
                    Some(limit) => thread::park_timeout(limit),
                    None => thread::park(),
                }
                self.is_woken.store(false, SeqCst);
            }
        }
    }
}
