//! The engine as a whole: threads, accepting, draining.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, Semaphore};

use crate::keepalive::Keepalive;
use crate::system::register;
use crate::{
    Client, Config, Error, Listener, Observer, Outcome, Router, Shutdown, Socket, Stats, session, socket,
};

/// Pause after an accept that failed for want of something (descriptors, memory).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long joining waits for a name resolution that is still under way.
const RESOLVER_PATIENCE: Duration = Duration::from_millis(100);

/// What all connections share.
pub(crate) struct Context<R, O> {
    pub(crate) config: Config,
    pub(crate) router: R,
    pub(crate) observer: O,
    pub(crate) shutdown: Arc<Shutdown>,
    pub(crate) stats: Arc<Stats>,
    /// As many as connections may still be accepted.
    room: Semaphore,
    /// Notified when the last connection has left a draining engine.
    empty: Notify,
}

/// Counts a connection for as long as it lives, however it ends.
pub(crate) struct Admission<R: Router, O: Observer> {
    context: Arc<Context<R, O>>,
    client: Client,
    ended: bool,
}

impl<R: Router, O: Observer> Admission<R, O> {
    fn new(context: &Arc<Context<R, O>>, client: Client) -> Self {
        context.stats.opened();
        context.observer.accepted(&client);
        Self { context: Arc::clone(context), client, ended: false }
    }

    pub(crate) fn parts(&mut self) -> (&Context<R, O>, &mut Client) {
        (&self.context, &mut self.client)
    }

    /// The connection has ended by itself and is closed.
    pub(crate) fn end(mut self) {
        self.ended = true;
        let left = self.leave();
        self.context.observer.closed(left);
    }

    fn leave(&self) -> u64 {
        let left = self.context.stats.closed();
        self.context.room.add_permits(1);
        if left == 0 && self.context.shutdown.is_draining() {
            self.context.empty.notify_waiters();
        }
        left
    }
}

impl<R: Router, O: Observer> Drop for Admission<R, O> {
    fn drop(&mut self) {
        if !self.ended {
            self.leave();
            self.context.observer.cut_off(&self.client);
        }
    }
}

/// A running engine.
pub struct Engine<R: Router, O: Observer> {
    context: Arc<Context<R, O>>,
    threads: Vec<JoinHandle<()>>,
}

/// Starts the engine's threads on listeners that are bound already.
///
/// # Errors
/// [`Error::Start`] when the system gives no thread or no epoll descriptor.
pub fn start<R: Router, O: Observer>(
    listeners: Vec<Listener>,
    config: Config,
    router: R,
    observer: O,
    shutdown: Arc<Shutdown>,
) -> Result<Engine<R, O>, Error> {
    let count = config.threads.max(1);
    let room = Semaphore::new(config.max_connections.min(Semaphore::MAX_PERMITS));
    listeners.iter().for_each(|listener| listener.set_keepalive(Keepalive::of(&config)));
    let context = Arc::new(Context {
        config,
        router,
        observer,
        shutdown,
        stats: Arc::new(Stats::default()),
        room,
        empty: Notify::new(),
    });
    let mut engine = Engine { context, threads: Vec::with_capacity(count) };
    for index in 0..count {
        let context = Arc::clone(&engine.context);
        let started = clone_all(&listeners).and_then(|listeners| {
            let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
            thread::Builder::new()
                .name(format!("proxymachine {index}"))
                .spawn(move || run(runtime, listeners, &context))
        });
        match started {
            Ok(thread) => engine.threads.push(thread),
            Err(error) => {
                engine.context.shutdown.abort();
                engine.join();
                return Err(error.into());
            }
        }
    }
    Ok(engine)
}

fn clone_all(listeners: &[Listener]) -> io::Result<Vec<Listener>> {
    listeners.iter().map(Listener::try_clone).collect()
}

impl<R: Router, O: Observer> Engine<R, O> {
    /// Its counters.
    #[must_use]
    pub fn stats(&self) -> &Arc<Stats> {
        &self.context.stats
    }

    /// Waits for the end of all threads, which only [`Shutdown`] brings.
    pub fn join(self) -> Outcome {
        for thread in self.threads {
            // A thread that panicked has dropped its connections, which is all there is to do.
            let _ = thread.join();
        }
        self.context.shutdown.outcome()
    }
}

fn run<R: Router, O: Observer>(runtime: Runtime, listeners: Vec<Listener>, context: &Arc<Context<R, O>>) {
    let _finish = Finish(context);
    runtime.block_on(serve(listeners, context));
    // Drops the connections that are left, which closes their sockets.
    runtime.shutdown_timeout(RESOLVER_PATIENCE);
}

/// Tells of the thread's end even if it panics: somebody is waiting for it.
struct Finish<'a, R: Router, O: Observer>(&'a Context<R, O>);

impl<R: Router, O: Observer> Drop for Finish<'_, R, O> {
    fn drop(&mut self) {
        self.0.observer.thread_finished();
    }
}

async fn serve<R: Router, O: Observer>(listeners: Vec<Listener>, context: &Arc<Context<R, O>>) {
    for listener in listeners {
        tokio::spawn(accept(listener, Arc::clone(context)));
    }
    context.shutdown.begun().await;
    tokio::select! {
        biased;
        () = empty(context) => {}
        () = context.shutdown.overdue() => {
            context.shutdown.force(context.stats.current());
        }
    }
}

/// Resolves when no connection is left. Only asked when none can come any more.
async fn empty<R: Router, O: Observer>(context: &Context<R, O>) {
    loop {
        let notified = context.empty.notified();
        if context.stats.current() == 0 {
            return;
        }
        notified.await;
    }
}

async fn accept<R: Router, O: Observer>(listener: Listener, context: Arc<Context<R, O>>) {
    // The file is kept for as long as somebody may connect to it.
    let (socket, endpoint, _file) = listener.into_parts();
    let listener = match register(socket, Interest::READABLE) {
        Ok(listener) => listener,
        Err(error) => return context.observer.accept_failed(&error),
    };
    let mut draining = std::pin::pin!(context.shutdown.begun());
    loop {
        let accepted = tokio::select! {
            biased;
            _ = &mut draining => return,
            accepted = accept_one(&listener, &context) => accepted,
        };
        match accepted {
            Ok((socket, peer)) => {
                let client = Client::new(peer, Arc::clone(&endpoint));
                tokio::spawn(session::run(socket, Admission::new(&context, client)));
            }
            Err(error) if is_aborted(&error) => {}
            Err(error) => {
                context.observer.accept_failed(&error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Accepts when there is room for one more. What waits in the system's queue waits on.
async fn accept_one<R: Router, O: Observer>(
    listener: &AsyncFd<OwnedFd>,
    context: &Context<R, O>,
) -> io::Result<(Socket, Option<SocketAddr>)> {
    loop {
        let mut ready = listener.readable().await?;
        let room = match context.room.try_acquire() {
            Ok(room) => room,
            Err(_) => {
                context.observer.full(context.config.max_connections);
                context.room.acquire().await.map_err(io::Error::other)?
            }
        };
        let Ok(accepted) = ready.try_io(socket::accept) else { continue };
        let (socket, peer) = accepted?;
        let socket = Socket::new(socket)?;
        room.forget(); // Given back by the admission.
        return Ok((socket, peer));
    }
}

/// The trouble of one connection that left before it was accepted (accept(2), "Error handling").
fn is_aborted(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, PermissionDenied, WouldBlock};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | PermissionDenied | WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_left_early_is_no_reason_to_pause_and_a_lack_of_descriptors_is() {
        let failed = |errno| is_aborted(&io::Error::from_raw_os_error(errno));
        for errno in [libc::ECONNABORTED, libc::ECONNRESET, libc::EINTR, libc::EPERM, libc::EAGAIN] {
            assert!(failed(errno), "{errno}");
        }
        for errno in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
            assert!(!failed(errno), "{errno}");
        }
    }
}
