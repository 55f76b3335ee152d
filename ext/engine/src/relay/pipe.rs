//! A pool of pipes for splice(2), which moves pages from socket to socket through a pipe.
//!
//! For small messages a pipe costs more than the copy. So a flow takes a pipe only while it streams
//! (`relay/splice.rs`) and returns it when the pipe is empty.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;

use crate::Socket;
use crate::net::socket::poll_until_done;

/// Capacity of a pipe, in bytes: the most that an unprivileged process may ask for (`fs.pipe-max-size`,
/// pipe(7)). If the system refuses, the pipe keeps its default capacity.
pub(super) const PIPE_SIZE: usize = 1024 * 1024;

/// The least capacity worth a splice. Beyond the share of a user, a pipe has two pages (pipe(7)).
const LEAST_SIZE: usize = 64 * 1024;

/// Limit of the pipes in use at once on one engine thread. It bounds the kernel's memory: an unprivileged user has
/// 64 MiB of pipe buffers (`fs.pipe-user-pages-soft`, pipe(7)). Each pipe takes two descriptors, which the gem
/// leaves free when it derives the connection limit from the descriptor limit.
const MAX_PIPES: usize = 16;

/// Limit of the idle pipes on one engine thread.
const MAX_IDLE: usize = 8;

thread_local! {
    static POOL: RefCell<Vec<(OwnedFd, OwnedFd)>> = const { RefCell::new(Vec::new()) };
    static IN_USE: Cell<usize> = const { Cell::new(0) };
}

/// Set when the system turns out not to splice sockets, as some sandboxes do not.
static UNSUPPORTED: AtomicBool = AtomicBool::new(false);

/// Tells whether filling a pipe failed because splice(2) is not available. Then no more pipes are lent.
pub(super) fn is_unsupported(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    let unsupported = matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported);
    if unsupported {
        UNSUPPORTED.store(true, Relaxed);
    }
    unsupported
}

/// A pipe between two sockets, borrowed from this thread's pool.
#[derive(Debug)]
pub(super) struct Pipe {
    /// Reader and writer; `None` once the pipe is back in the pool.
    ends: Option<(OwnedFd, OwnedFd)>,
    held: usize,
}

impl Pipe {
    /// Borrows a pipe; `None` if the limit is reached or the system refuses.
    pub(super) fn take() -> Option<Self> {
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

    /// Returns the number of bytes read and not yet written.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Fills the pipe from `source`; 0 bytes are its end.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, source: &Socket) -> Poll<io::Result<usize>> {
        let Some((_, writer)) = &self.ends else { return Poll::Ready(Ok(0)) };
        let fill = || Ok(splice(source, None, writer, None, PIPE_SIZE, FLAGS)?);
        let count = ready!(poll_until_done(
            || source.poll_read_ready(cx),
            || source.try_io(Interest::READABLE, fill)
        ))?;
        self.held += count;
        Poll::Ready(source.checked_end(count))
    }

    /// Drains the pipe into `sink`.
    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>, sink: &Socket) -> Poll<io::Result<()>> {
        let Some((reader, _)) = &self.ends else { return Poll::Ready(Ok(())) };
        while self.held > 0 {
            sink.record_splice();
            let drain = || Ok(splice(reader, None, sink, None, self.held, FLAGS)?);
            let drained = ready!(poll_until_done(
                || sink.poll_write_ready(cx),
                || sink.try_io(Interest::WRITABLE, drain)
            ));
            let count = drained.inspect_err(|error| sink.record_write_error(error))?;
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
    /// Returns an empty pipe to the pool, and closes a pipe that holds bytes of this connection.
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
