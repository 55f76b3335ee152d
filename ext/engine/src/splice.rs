//! Bulk without copies: splice(2) moves pages from socket to socket by way of a pipe.
//!
//! It only pays for bulk: for small messages the pipe costs more than the copy. So a flow takes a
//! pipe when it has proved bulky (`relay.rs`) and gives it back when it pauses.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;

use crate::Socket;
use crate::socket::poll_until_done;

/// What one pipe may hold, in bytes: the most that an unprivileged process may ask for
/// (`fs.pipe-max-size`, pipe(7)). Where the system refuses, a pipe keeps what it has.
pub(crate) const PIPE_SIZE: usize = 1024 * 1024;

/// What a pipe must hold to be worth it. Beyond its share a user's pipes have two pages (pipe(7)).
const LEAST_SIZE: usize = 64 * 1024;

/// Pipes in use at once on one engine thread. They bound what the kernel holds for us: an
/// unprivileged user has 64 MiB of pipe buffers in all (`fs.pipe-user-pages-soft`, pipe(7)). And two descriptors
/// each, which `lib/proxymachine/descriptors.rb` keeps back.
const MAX_PIPES: usize = 16;

/// Pipes that wait to be used on one engine thread.
const MAX_IDLE: usize = 8;

thread_local! {
    static POOL: RefCell<Vec<(OwnedFd, OwnedFd)>> = const { RefCell::new(Vec::new()) };
    static IN_USE: Cell<usize> = const { Cell::new(0) };
}

/// A system that does not splice sockets (some sandboxes) is asked once.
static UNSUPPORTED: AtomicBool = AtomicBool::new(false);

/// Whether filling a pipe failed because splice(2) itself is not to be had.
pub(crate) fn is_unsupported(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    let unsupported = matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported);
    if unsupported {
        UNSUPPORTED.store(true, Relaxed);
    }
    unsupported
}

/// A pipe between two sockets, on loan from this thread's pool.
#[derive(Debug)]
pub(crate) struct Pipe {
    /// Reader and writer; None once they are back in the pool.
    ends: Option<(OwnedFd, OwnedFd)>,
    held: usize,
}

impl Pipe {
    /// None when all are in use, or the system has none left.
    pub(crate) fn take() -> Option<Self> {
        if IN_USE.get() == MAX_PIPES || UNSUPPORTED.load(Relaxed) {
            return None;
        }
        let ends = match POOL.with_borrow_mut(Vec::pop) {
            Some(ends) => ends,
            None => {
                let ends = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
                let size =
                    fcntl_setpipe_size(&ends.1, PIPE_SIZE).or_else(|_| fcntl_getpipe_size(&ends.1)).ok()?;
                if size < LEAST_SIZE {
                    return None;
                }
                ends
            }
        };
        IN_USE.set(IN_USE.get() + 1);
        Some(Self { ends: Some(ends), held: 0 })
    }

    /// Bytes that were read and not yet written.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Takes what `source` has; 0 is its end.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>, source: &Socket) -> Poll<io::Result<usize>> {
        let Some((_, writer)) = &self.ends else { return Poll::Ready(Ok(0)) };
        let fill = || Ok(splice(source, None, writer, None, PIPE_SIZE, FLAGS)?);
        let count = ready!(poll_until_done(
            || source.poll_read_ready(cx),
            || source.try_io(Interest::READABLE, fill)
        ))?;
        self.held += count;
        Poll::Ready(Ok(count))
    }

    /// Gives `sink` all that is held.
    pub(crate) fn poll_drain(&mut self, cx: &mut Context<'_>, sink: &Socket) -> Poll<io::Result<()>> {
        let Some((reader, _)) = &self.ends else { return Poll::Ready(Ok(())) };
        while self.held > 0 {
            let drain = || Ok(splice(reader, None, sink, None, self.held, FLAGS)?);
            let count = ready!(poll_until_done(
                || sink.poll_write_ready(cx),
                || sink.try_io(Interest::WRITABLE, drain)
            ))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held -= count;
        }
        Poll::Ready(Ok(()))
    }
}

const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

impl Drop for Pipe {
    /// Back to the pool, unless somebody's bytes are in it or there are enough.
    fn drop(&mut self) {
        IN_USE.set(IN_USE.get() - 1);
        if let (Some(ends), 0) = (self.ends.take(), self.held) {
            POOL.with_borrow_mut(|pool| {
                if pool.len() < MAX_IDLE {
                    pool.push(ends);
                }
            });
        }
    }
}
