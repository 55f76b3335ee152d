//! The Ruby extension: a thin layer between Ruby and `proxymachine-engine`.
//!
//! Engine threads never call Ruby. An engine thread collects its log lines and its calls of blocks in an
//! outbox (`outbox.rs`), which goes to the mailbox (`mailbox.rs`) of the Ruby thread that called `run`. That
//! thread empties the mailbox (`dispatch.rs`), calls the blocks (`block_call.rs`) and sends the verdicts back
//! (`replies.rs`).
#![deny(unsafe_code)] // except in glibc.rs, gvl.rs, memory.rs and sniff.rs

use std::sync::{Mutex, MutexGuard, PoisonError};

mod access_file;
mod access_log;
mod admin;
mod backend_stats;
mod block_call;
mod codes;
mod convert;
mod dispatch;
mod engine;
mod error;
mod event;
mod explain;
mod failure;
#[cfg(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod glibc;
mod gvl;
mod handler;
mod log;
mod log_observer;
mod mailbox;
mod memory;
mod outbox;
mod parker;
mod plain_answer;
mod recent_failures;
mod recorder;
mod replies;
mod ruby_router;
mod shared;
mod sniff;
mod thread_pool;
mod thread_room;
mod tls;
mod upstreams;
mod verdict;

#[magnus::init]
fn init(ruby: &magnus::Ruby) -> Result<(), magnus::Error> {
    failure::report_panics_in_one_line();
    gvl::init(ruby)?;
    engine::init(ruby)?;
    sniff::init(ruby)?;
    tls::init(ruby)
}

/// Locks a mutex, also after a panic: no update of the guarded values can be interrupted halfway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
