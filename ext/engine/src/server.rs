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
use tokio::sync::{Notify, watch};

use crate::account::Account;
use crate::keepalive::Keepalive;
use crate::meters::Count;
use crate::room::Room;
use crate::socket_file::SocketFile;
use crate::system::register;
use crate::{
    Client, Config, Endpoint, Error, Listener, Observer, Outcome, Router, Shutdown, Socket, Stats, session,
    socket,
};

/// Pause after an accept that failed for want of something (descriptors, memory).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long joining waits for a name resolution that is still under way.
const RESOLVER_PATIENCE: Duration = Duration::from_millis(100);

/// What all connections share that were accepted under one configuration.
pub(crate) struct Context<R, O> {
    pub(crate) config: Config,
    pub(crate) router: Arc<R>,
    pub(crate) observer: Arc<O>,
    pub(crate) shutdown: Arc<Shutdown>,
    pub(crate) stats: Arc<Stats>,
    room: Arc<Room>,
    /// Notified when the last connection has left a draining engine.
    empty: Arc<Notify>,
}

impl<R, O> Context<R, O> {
    /// The same with another configuration.
    fn with(&self, config: Config) -> Self {
        Self {
            config,
            router: Arc::clone(&self.router),
            observer: Arc::clone(&self.observer),
            shutdown: Arc::clone(&self.shutdown),
            stats: Arc::clone(&self.stats),
            room: Arc::clone(&self.room),
            empty: Arc::clone(&self.empty),
        }
    }
}

/// Where connections come from, and how they are served: until the next [`Control::reload`].
struct Plan<R, O> {
    listeners: Vec<Listener>,
    context: Arc<Context<R, O>>,
}

/// Counts a connection for as long as it lives, however it ends.
pub(crate) struct Admission<R: Router, O: Observer> {
    context: Arc<Context<R, O>>,
    client: Client,
    account: Account,
    ended: bool,
}

impl<R: Router, O: Observer> Admission<R, O> {
    fn new(context: &Arc<Context<R, O>>, client: Client) -> Self {
        context.stats.opened();
        client.meters().count(Count::Accepted);
        context.observer.accepted(&client);
        Self { context: Arc::clone(context), client, account: Account::default(), ended: false }
    }

    pub(crate) fn parts(&mut self) -> (&Context<R, O>, &mut Client, &mut Account) {
        (&self.context, &mut self.client, &mut self.account)
    }

    /// The connection has ended by itself and is closed.
    pub(crate) fn end(mut self) {
        self.ended = true;
        let left = self.leave();
        self.context.observer.closed(left);
    }

    fn leave(&mut self) -> u64 {
        let meters = self.client.meters();
        meters.count(Count::Closed);
        self.account.close(self.client.accepted(), meters);
        self.context.observer.finished(&self.client, &self.account);
        let left = self.context.stats.closed();
        self.context.room.give_back();
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
    control: Control<R, O>,
    threads: Vec<JoinHandle<()>>,
}

/// Changes what an engine does while it runs.
pub struct Control<R: Router, O: Observer>(Arc<watch::Sender<Plan<R, O>>>);

impl<R: Router, O: Observer> Clone for Control<R, O> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R: Router, O: Observer> Control<R, O> {
    /// From now on these listeners and this configuration count for whoever comes; what is connected stays as it
    /// is. What the listeners before have queued is accepted first. `Config::threads` cannot change any more.
    /// Does nothing once a drain has begun.
    pub fn reload(&self, listeners: Vec<Listener>, config: Config) {
        self.0.send_if_modified(|plan| {
            if plan.context.shutdown.is_draining() {
                return false;
            }
            prepare(&listeners, &config);
            plan.context.room.resize(config.max_connections);
            plan.context = Arc::new(plan.context.with(config));
            plan.listeners = listeners;
            true
        });
    }

    /// What it listens on: the same sockets for somebody else. None of them once a drain has begun.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn listeners(&self) -> io::Result<Vec<Listener>> {
        clone_all(&self.0.borrow().listeners)
    }

    /// Shows what it listens on.
    pub fn inspect<T>(&self, look: impl FnOnce(&[Listener]) -> T) -> T {
        look(&self.0.borrow().listeners)
    }

    /// Stops listening.
    fn close(&self) {
        self.0.send_modify(|plan| plan.listeners.clear());
    }
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
    prepare(&listeners, &config);
    let context = Arc::new(Context {
        room: Arc::new(Room::new(config.max_connections)),
        config,
        router: Arc::new(router),
        observer: Arc::new(observer),
        shutdown,
        stats: Arc::new(Stats::default()),
        empty: Arc::new(Notify::new()),
    });
    let control = Control(Arc::new(watch::Sender::new(Plan { listeners, context: Arc::clone(&context) })));
    let mut engine = Engine { control, threads: Vec::with_capacity(count) };
    for index in 0..count {
        let (control, shared) = (engine.control.clone(), Arc::clone(&context));
        let started = Builder::new_current_thread().enable_io().enable_time().build().and_then(|runtime| {
            thread::Builder::new()
                .name(format!("proxymachine {index}"))
                .spawn(move || run(runtime, &control, &shared))
        });
        match started {
            Ok(thread) => engine.threads.push(thread),
            Err(error) => {
                context.shutdown.abort();
                engine.join();
                return Err(error.into());
            }
        }
    }
    Ok(engine)
}

/// What the sockets that are accepted inherit.
fn prepare(listeners: &[Listener], config: &Config) {
    listeners.iter().for_each(|listener| listener.prepare(Keepalive::of(config)));
}

fn clone_all(listeners: &[Listener]) -> io::Result<Vec<Listener>> {
    listeners.iter().map(Listener::try_clone).collect()
}

impl<R: Router, O: Observer> Engine<R, O> {
    /// Its counters.
    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.control.0.borrow().context.stats)
    }

    /// What changes it while it runs.
    #[must_use]
    pub fn control(&self) -> &Control<R, O> {
        &self.control
    }

    /// Waits for the end of all threads, which only [`Shutdown`] brings.
    pub fn join(self) -> Outcome {
        for thread in self.threads {
            // A thread that panicked has dropped its connections, which is all there is to do.
            let _ = thread.join();
        }
        self.control.0.borrow().context.shutdown.outcome()
    }
}

fn run<R: Router, O: Observer>(runtime: Runtime, control: &Control<R, O>, context: &Context<R, O>) {
    let _finish = Finish(context);
    runtime.block_on(serve(control, context));
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

async fn serve<R: Router, O: Observer>(control: &Control<R, O>, context: &Context<R, O>) {
    tokio::select! {
        biased;
        _ = context.shutdown.begun() => {}
        () = accept_all(control) => {}
    }
    control.close();
    tokio::select! {
        biased;
        () = empty(context) => {}
        () = context.shutdown.overdue() => {
            context.shutdown.force(context.stats.current());
        }
    }
}

/// Where one thread accepts the clients of a listener.
struct Door {
    listener: AsyncFd<OwnedFd>,
    endpoint: Arc<Endpoint>,
    /// Kept for as long as somebody may connect to it.
    _file: Option<Arc<SocketFile>>,
}

impl Door {
    fn open(listener: &Listener) -> io::Result<Self> {
        let (socket, endpoint, file) = listener.try_clone()?.into_parts();
        Ok(Self { listener: register(socket, Interest::READABLE)?, endpoint, _file: file })
    }
}

/// Accepts by one plan after the other.
async fn accept_all<R: Router, O: Observer>(control: &Control<R, O>) {
    let mut plans = control.0.subscribe();
    loop {
        let (doors, context) = {
            let plan = plans.borrow_and_update();
            let doors: io::Result<Vec<Door>> = plan.listeners.iter().map(Door::open).collect();
            (doors, Arc::clone(&plan.context))
        };
        match doors {
            Ok(doors) => {
                for door in doors {
                    tokio::spawn(accept(door, Arc::clone(&context), plans.clone()));
                }
            }
            Err(error) => {
                context.observer.accept_failed(&error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
                plans.mark_changed();
            }
        }
        // Its sender is alive.
        let _ = plans.changed().await;
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

/// Accepts until a drain begins, or until there is another plan.
async fn accept<R: Router, O: Observer>(
    door: Door,
    context: Arc<Context<R, O>>,
    mut plans: watch::Receiver<Plan<R, O>>,
) {
    let Door { listener, endpoint, _file } = door;
    // There may be another plan for a while before this task is told: its configuration counts for whoever comes.
    let newest = plans.clone();
    let serve = |(socket, peer)| {
        let client = Client::new(peer, Arc::clone(&endpoint));
        let context = Arc::clone(&newest.borrow().context);
        tokio::spawn(session::run(socket, Admission::new(&context, client)));
    };
    let mut draining = std::pin::pin!(context.shutdown.begun());
    loop {
        let accepted = tokio::select! {
            biased;
            _ = &mut draining => return,
            _ = plans.changed() => break,
            accepted = accept_one(&listener, &endpoint, &context) => accepted,
        };
        match accepted {
            Ok(accepted) => serve(accepted),
            Err(error) if is_aborted(&error) => {}
            Err(error) => {
                context.observer.accept_failed(&error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Nobody may listen there any more, but these were let in.
    while let Some(accepted) = accept_queued(&listener, &context) {
        serve(accepted);
    }
}

/// Accepts when there is room for one more. What waits in the system's queue waits on.
async fn accept_one<R: Router, O: Observer>(
    listener: &AsyncFd<OwnedFd>,
    endpoint: &Endpoint,
    context: &Context<R, O>,
) -> io::Result<(Socket, Option<SocketAddr>)> {
    loop {
        let mut ready = listener.readable().await?;
        let room = match context.room.try_take() {
            Some(room) => room,
            None => {
                endpoint.meters().count(Count::LimitConnections);
                context.observer.full(context.config.max_connections);
                context.room.take().await
            }
        };
        let Ok(accepted) = ready.try_io(socket::accept) else { continue };
        let (socket, peer) = accepted?;
        let socket = Socket::new(socket)?;
        room.forget(); // Given back by the admission.
        return Ok((socket, peer));
    }
}

/// Accepts one that waits in the system's queue, if there is room for it.
fn accept_queued<R, O>(
    listener: &AsyncFd<OwnedFd>,
    context: &Context<R, O>,
) -> Option<(Socket, Option<SocketAddr>)> {
    let room = context.room.try_take()?;
    let (socket, peer) = socket::accept(listener).ok()?;
    let socket = Socket::new(socket).ok()?;
    room.forget();
    Some((socket, peer))
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
