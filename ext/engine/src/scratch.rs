//! One read buffer per engine thread, so that a connection without traffic has no buffer at all.

use std::cell::RefCell;

/// Large enough for bulk to be cheap: twice as large saves little, half costs a tenth more.
pub(crate) const SIZE: usize = 256 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SIZE].into_boxed_slice());
}

/// Lends the first `limit` bytes of this thread's buffer. What must outlive the call is copied.
pub(crate) fn with<T>(limit: usize, f: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| f(&mut scratch[..limit.min(SIZE)]))
}
