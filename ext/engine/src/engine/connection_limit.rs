//! The limit of open connections.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::sync::{Semaphore, SemaphorePermit};

/// A semaphore whose limit can change while permits are held.
#[derive(Debug)]
pub(crate) struct ConnectionLimit {
    free: Semaphore,
    /// The limit, and the number of held permits above it, which are not to be reused.
    size: Mutex<(usize, usize)>,
    /// Whether permits above the limit are held, which is rare. Read without the lock.
    is_exceeded: AtomicBool,
}

impl ConnectionLimit {
    pub(crate) fn new(size: usize) -> Self {
        let size = size.min(Semaphore::MAX_PERMITS);
        Self { free: Semaphore::new(size), size: Mutex::new((size, 0)), is_exceeded: AtomicBool::new(false) }
    }

    /// Acquires a permit if one is free. The caller forgets the permit and calls `release` at the end.
    pub(crate) fn try_acquire(&self) -> Option<SemaphorePermit<'_>> {
        self.free.try_acquire().ok()
    }

    /// Waits for a permit.
    pub(crate) async fn acquire(&self) -> SemaphorePermit<'_> {
        self.free.acquire().await.expect("the semaphore is never closed")
    }

    /// Releases a permit.
    pub(crate) fn release(&self) {
        if self.is_exceeded.load(Relaxed) {
            let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
            if size.1 > 0 {
                size.1 -= 1;
                self.is_exceeded.store(size.1 > 0, Relaxed);
                return;
            }
        }
        self.free.add_permits(1);
    }

    /// Changes the limit. Held permits above a lower limit stay valid and are not reused.
    pub(crate) fn set_limit(&self, size: usize) {
        let new = size.min(Semaphore::MAX_PERMITS);
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        let (old, excess) = *size;
        let excess = if new < old {
            let fewer = old - new;
            excess + fewer - self.free.forget_permits(fewer)
        } else {
            let more = new - old;
            self.free.add_permits(more - more.min(excess));
            excess - more.min(excess)
        };
        *size = (new, excess);
        self.is_exceeded.store(excess > 0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(room: &ConnectionLimit, count: usize) -> usize {
        (0..count).map_while(|_| room.try_acquire()).map(SemaphorePermit::forget).count()
    }

    #[test]
    fn permits_follow_the_limit_up_and_down() {
        let room = ConnectionLimit::new(3);
        assert_eq!(take(&room, 9), 3);
        room.set_limit(5);
        assert_eq!(take(&room, 9), 2);
        room.set_limit(2);
        for _ in 0..3 {
            room.release();
            assert_eq!(take(&room, 1), 0, "five are held and the limit is two");
        }
        room.release();
        assert_eq!(take(&room, 9), 1);
    }

    #[test]
    fn permits_above_a_lowered_limit_count_again_when_it_rises() {
        let room = ConnectionLimit::new(4);
        assert_eq!(take(&room, 9), 4);
        room.set_limit(1);
        room.set_limit(3);
        room.release();
        assert_eq!(take(&room, 9), 0);
        room.release();
        assert_eq!(take(&room, 9), 1);
        room.set_limit(10);
        assert_eq!(take(&room, 99), 7);
    }
}
