//! Parking, on systems without epoll(7): none.

use std::io;
use std::os::fd::BorrowedFd;
use std::task::Context;

/// The number of a place.
#[derive(Debug, Clone, Copy)]
pub struct Key;

/// The place of a connection among those of its thread.
#[derive(Debug, Default)]
pub(crate) struct Place;

/// What a place has found.
#[derive(Debug, Clone, Copy)]
#[expect(dead_code)] // Nothing is quiet.
pub(crate) enum Due {
    Busy,
    Quiet(Key),
}

impl Place {
    /// Returns a result at once, since nothing can be parked.
    pub(crate) fn wait(&mut self, _: &mut Context<'_>, _moved: bool) -> Option<Due> {
        Some(Due::Busy)
    }
}

/// Returns `false`: nothing is watched.
pub(super) fn watch(_: BorrowedFd<'_>, _: Key) -> bool {
    false
}

/// Does nothing.
pub(super) fn forget(_: BorrowedFd<'_>) {}

/// Nothing.
pub(crate) struct Lot;

impl Lot {
    /// Does nothing.
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self)
    }
}

/// Does nothing.
pub(crate) async fn drive(_: Lot, _: impl Fn()) {}
