//! Failures that end a thread or the process: one line on standard error, and never a stack.
#![allow(unsafe_code)] // an allocator

use std::alloc::{GlobalAlloc, Layout};
use std::io::Write;
use std::panic::{self, PanicHookInfo};

/// Has a panic, which is a defect, reported in one line. A stack would split other lines of the log.
pub fn report_panics_in_one_line() {
    panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed");
        // Without standard error there is nowhere to report to.
        let _ = std::io::stderr().write_all(line(panic, name).as_bytes());
    }));
}

fn line(panic: &PanicHookInfo<'_>, thread: &str) -> String {
    let payload = panic.payload();
    let text =
        payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
    let reason = text.unwrap_or("unknown").lines().next().unwrap_or_default();
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    format!(
        "proxymachine: a defect in thread {thread:?} ended what it did: {reason} ({place}). Please report it.\n"
    )
}

/// An allocator that ends the process in one sentence if the system gives no memory.
pub struct OrExit<A>(pub A);

// SAFETY: passes all calls on to an allocator, and returns what it returns unless that is null.
unsafe impl<A: GlobalAlloc> GlobalAlloc for OrExit<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's.
        or_exit(unsafe { self.0.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's.
        or_exit(unsafe { self.0.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's.
        or_exit(unsafe { self.0.realloc(pointer, layout, size) })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { self.0.dealloc(pointer, layout) }
    }
}

fn or_exit(pointer: *mut u8) -> *mut u8 {
    if pointer.is_null() { out_of_memory() } else { pointer }
}

/// Formats nothing, which might allocate.
#[cold]
fn out_of_memory() -> ! {
    const LINE: &[u8] =
        b"proxymachine: out of memory: raise the limit of the process (ulimit -v, MemoryMax=), or lower \
        max_connections\n";
    // SAFETY: the buffer is a constant; _exit runs no code of this process.
    unsafe {
        libc::write(libc::STDERR_FILENO, LINE.as_ptr().cast(), LINE.len());
        libc::_exit(1)
    }
}
