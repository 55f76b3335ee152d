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

    /// Parks a thread. Unlike with `std::thread::park_timeout`, a signal ends a wait that has a limit: futex(2) is not
    /// restarted then. Of several threads that park at once, each needs a limit, since one may miss the wake-up.
    #[derive(Default)]
    pub struct Parker(AtomicU32);

    impl Parker {
        /// Ends the wait, or the next one.
        pub fn unpark(&self) {
            if self.0.swap(WOKEN, SeqCst) == PARKED {
                let _ = futex::wake(&self.0, Flags::PRIVATE, i32::MAX as u32);
            }
        }

        /// Waits for `unpark`, for at most `limit`. May return early.
        pub fn park(&self, limit: Option<Duration>) {
            if self.0.compare_exchange(IDLE, PARKED, SeqCst, SeqCst) != Err(WOKEN) {
                let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
                let _ = futex::wait(&self.0, Flags::PRIVATE, PARKED, limit.as_ref());
            }
            // Reads, too: what was written before unpark() is visible from here on.
            self.0.swap(IDLE, SeqCst);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::sync::OnceLock;
    use std::sync::atomic::Ordering::SeqCst;
    use std::sync::atomic::{AtomicBool, fence};
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
            // The fences pair: either the waiter sees `is_woken`, or this thread sees the waiter and unparks it.
            self.is_woken.store(true, SeqCst);
            fence(SeqCst);
            if let Some(waiter) = self.waiter.get() {
                waiter.unpark();
            }
        }

        /// Waits for `unpark`, for at most `limit`. May return early.
        pub fn park(&self, limit: Option<Duration>) {
            self.waiter.get_or_init(thread::current);
            fence(SeqCst);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::Parker;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_wake_up_before_the_wait_ends_it() {
        let (parker, start) = (Parker::default(), Instant::now());
        parker.unpark();
        parker.park(Some(LONG));
        assert!(start.elapsed() < LONG);
    }

    #[test]
    fn a_wake_up_ends_one_wait() {
        let parker = Parker::default();
        parker.unpark();
        parker.unpark();
        parker.park(None);
        let (limit, start) = (Duration::from_millis(20), Instant::now());
        while start.elapsed() < limit {
            parker.park(Some(limit)); // It may return early.
        }
    }

    #[test]
    fn no_wake_up_of_another_thread_is_lost() {
        let (ping, pong) = (Arc::new(Parker::default()), Arc::new(Parker::default()));
        let peer = {
            let (ping, pong) = (Arc::clone(&ping), Arc::clone(&pong));
            thread::spawn(move || {
                for _ in 0..10_000 {
                    ping.park(Some(LONG));
                    pong.unpark();
                }
            })
        };
        let start = Instant::now();
        for _ in 0..10_000 {
            ping.unpark();
            pong.park(Some(LONG));
        }
        peer.join().unwrap();
        assert!(start.elapsed() < LONG, "a wait ended by its limit");
    }
}
