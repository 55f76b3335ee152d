//! A number for each thread that uses sockets, which a socket can remember in two bytes.

use std::cell::Cell;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

static LAST: AtomicU16 = AtomicU16::new(0);

thread_local! {
    static ID: Cell<u16> = const { Cell::new(0) };
}

/// Returns the number of this thread, from 1 on.
pub(super) fn current() -> u16 {
    match ID.get() {
        0 => assign(),
        id => id,
    }
}

/// Tells whether `id` is the number of this thread.
pub(super) fn is_current(id: u16) -> bool {
    ID.get() == id
}

#[cold]
fn assign() -> u16 {
    let next = |last: u16| last.checked_add(1);
    let last =
        LAST.fetch_update(Relaxed, Relaxed, next).expect("a process starts fewer than 65,536 engine threads");
    ID.set(last + 1);
    last + 1
}
