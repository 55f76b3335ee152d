//! The engine as a whole: threads, accepting, draining.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, watch};

use crate::account::Account;
use crate::keepalive::Keepalive;
use crate::meters::Count;
use crate::room::Room;
use crate::{Client, Config, Error, Listener, Observer, Outcome, Router, Shutdown, Stats};

mod accept;

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
    fn new(context: Arc<Context<R, O>>, client: Client) -> Self {
        context.stats.opened();
        client.meters().count(Count::Accepted);
        context.observer.accepted(&client);
        Self { context, client, account: Account::default(), ended: false }
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
        () = accept::accept_all(control) => {}
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
