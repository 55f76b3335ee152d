//! Reports a panic: one line on standard error, and never a stack.

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
