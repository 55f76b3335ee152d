//! The Ruby extension: a thin layer between Ruby and `proxymachine-engine`.
//!
//! The engine's threads never touch Ruby. What they want to ask or tell goes into a queue
//! (`queue.rs`), the Ruby thread that called `run` empties it (`dispatch.rs`).
#![deny(unsafe_code)] // but in gvl.rs and sniff.rs

use std::sync::{Mutex, MutexGuard, PoisonError};

mod access;
mod admin;
mod ask;
mod bridge;
mod dispatch;
mod engine;
mod error;
mod explain;
mod gvl;
mod log;
mod pool;
mod queue;
mod remotes;
mod sniff;
mod verdict;
mod wanted;

/// Why: see docs/design.md, Dependencies.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[magnus::init]
fn init(ruby: &magnus::Ruby) -> Result<(), magnus::Error> {
    gvl::init(ruby)?;
    engine::init(ruby)?;
    sniff::init(ruby)
}

/// What a mutex guards here is whole at any time, also after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
