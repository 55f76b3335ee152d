//! How many connections there is room for.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::sync::{Semaphore, SemaphorePermit};

/// A number of places that can change while they are taken.
#[derive(Debug)]
pub(crate) struct Room {
    free: Semaphore,
    /// How many there are, and how many of those that are taken must not be given back: they are too many
    /// since there are fewer.
    size: Mutex<(usize, usize)>,
    /// Whether there are such, which hardly ever is so.
    is_overfull: AtomicBool,
}

impl Room {
    pub(crate) fn new(size: usize) -> Self {
        let size = size.min(Semaphore::MAX_PERMITS);
        Self { free: Semaphore::new(size), size: Mutex::new((size, 0)), is_overfull: AtomicBool::new(false) }
    }

    /// A place, if one is free. It is kept with `forget` until `give_back`.
    pub(crate) fn try_take(&self) -> Option<SemaphorePermit<'_>> {
        self.free.try_acquire().ok()
    }

    /// The next place that is free.
    pub(crate) async fn take(&self) -> SemaphorePermit<'_> {
        self.free.acquire().await.expect("nobody closes it")
    }

    pub(crate) fn give_back(&self) {
        if self.is_overfull.load(Relaxed) {
            let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
            if size.1 > 0 {
                size.1 -= 1;
                self.is_overfull.store(size.1 > 0, Relaxed);
                return;
            }
        }
        self.free.add_permits(1);
    }

    pub(crate) fn resize(&self, size: usize) {
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
        self.is_overfull.store(excess > 0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(room: &Room, count: usize) -> usize {
        (0..count).map_while(|_| room.try_take()).map(SemaphorePermit::forget).count()
    }

    #[test]
    fn there_are_as_many_places_as_its_size_whatever_it_was_before() {
        let room = Room::new(3);
        assert_eq!(take(&room, 9), 3);
        room.resize(5);
        assert_eq!(take(&room, 9), 2);
        room.resize(2);
        for _ in 0..3 {
            room.give_back();
            assert_eq!(take(&room, 1), 0, "five were taken and there is room for two");
        }
        room.give_back();
        assert_eq!(take(&room, 9), 1);
    }

    #[test]
    fn places_that_were_too_many_count_again_when_there_is_more_room() {
        let room = Room::new(4);
        assert_eq!(take(&room, 9), 4);
        room.resize(1);
        room.resize(3);
        room.give_back();
        assert_eq!(take(&room, 9), 0);
        room.give_back();
        assert_eq!(take(&room, 9), 1);
        room.resize(10);
        assert_eq!(take(&room, 99), 7);
    }
}
