//! One read buffer per engine thread, so that a connection without traffic has no buffer at all.

use std::cell::RefCell;

/// Large enough for bulk to be cheap where it is copied: until a flow has proved bulky, and where it
/// cannot be spliced.
pub(crate) const SIZE: usize = 256 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SIZE].into_boxed_slice());
}

/// Lends the first `limit` bytes of this thread's buffer. What must outlive the call is copied.
pub(crate) fn with<T>(limit: usize, f: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| f(&mut scratch[..limit.min(SIZE)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_lent_than_there_is() {
        assert_eq!(with(10, |scratch| scratch.len()), 10);
        assert_eq!(with(usize::MAX, |scratch| scratch.len()), SIZE);
    }

    #[test]
    fn it_is_lent_again_after_a_panic() {
        let panicked = std::panic::catch_unwind(|| with(1, |_| panic!("as it should in this test")));
        assert!(panicked.is_err());
        assert_eq!(with(1, |scratch| scratch.len()), 1);
    }
}
