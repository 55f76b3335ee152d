//! Whether the system allows another thread.

use std::fs;
use std::path::Path;
use std::thread;

use magnus::{Error, Ruby};

/// The stack of a thread that only looks up its own number.
const STACK_SIZE: usize = 64 * 1024;

/// The number of looks, a yield apart, after which a thread of the same number must be another one.
const MAX_LOOKS: usize = 10_000;

/// Starts a thread, and waits for its end and until the system no longer counts it.
///
/// # Errors
/// Returns the `ThreadError` of Ruby's `Thread.new` if the system allows no thread.
pub fn check(ruby: &Ruby) -> Result<(), Error> {
    // proc(5): "thread-self" leads to the directory of the thread. The kernel removes the directory after it has
    // subtracted the thread from those of the user (release_task in kernel/exit.c), which is later than its end.
    let probe = thread::Builder::new().stack_size(STACK_SIZE).spawn(|| fs::read_link("/proc/thread-self"));
    let probe = probe.map_err(|error| {
        let text = error.to_string();
        let reason = text.split(" (os error").next().unwrap_or_default();
        Error::new(ruby.exception_thread_error(), format!("can't create Thread: {reason}"))
    })?;
    if let Ok(Ok(directory)) = probe.join() {
        let directory = Path::new("/proc").join(directory);
        for _ in 0..MAX_LOOKS {
            if !directory.exists() {
                break;
            }
            thread::yield_now();
        }
    }
    Ok(())
}
