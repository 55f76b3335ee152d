//! The scratch buffer: one read buffer for each engine thread, so that an idle connection needs none.

use std::cell::RefCell;

/// Size of the buffer, large enough that bulk is cheap to copy where it is not spliced.
pub(crate) const SIZE: usize = 256 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SIZE].into_boxed_slice());
}

/// Lends the first `limit` bytes of this thread's buffer for the duration of the call.
pub(crate) fn with<T>(limit: usize, f: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| f(&mut scratch[..limit.min(SIZE)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_the_whole_buffer_is_lent() {
        assert_eq!(with(10, |scratch| scratch.len()), 10);
        assert_eq!(with(usize::MAX, |scratch| scratch.len()), SIZE);
    }

    #[test]
    fn the_buffer_is_usable_after_a_panic() {
        let panicked = std::panic::catch_unwind(|| with(1, |_| panic!("expected in this test")));
        assert!(panicked.is_err());
        assert_eq!(with(1, |scratch| scratch.len()), 1);
    }
}
