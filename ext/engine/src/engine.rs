//! The engine: its threads, and how they start, reload and drain.

mod accept;
pub(crate) mod connection_limit;
pub mod shutdown;

use std::io;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::accept::{ServingConfig, accept_all};
use crate::net::keepalive::Keepalive;
use crate::net::parking::{self, Lot};
use crate::session::guard::EngineShared;
use crate::upstream::watch::watch;
use crate::{Config, DrainOutcome, Error, Limits, Listener, Observer, Router, Shutdown, Stats};

/// How long joining waits for a lookup that still runs.
const RESOLVER_SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(100);

/// A running engine.
pub struct Engine<R: Router, O: Observer> {
    control: Control<R, O>,
    threads: Vec<JoinHandle<()>>,
}

impl<R: Router, O: Observer> Engine<R, O> {
    /// Starts the engine's threads on listeners that are already bound.
    ///
    /// # Errors
    /// [`Error::Start`] if the system gives no thread or no epoll descriptor.
    pub fn start(
        listeners: Vec<Listener>,
        config: Config,
        router: R,
        observer: O,
        shutdown: Arc<Shutdown>,
    ) -> Result<Self, Error> {
        let count = config.threads.max(1);
        set_inherited_options(&listeners, &config);
        let shared = Arc::new(EngineShared::new(config, router, observer, shutdown));
        let listeners = listeners.into_iter().map(Arc::new).collect();
        let observer = Arc::downgrade(&shared.observer);
        let report = move |upstream: &str, change: &_| {
            if let Some(observer) = observer.upgrade() {
                observer.upstream_changed(upstream, change);
            }
        };
        shared.config.upstreams.set_reporter(report);
        let serving = ServingConfig { listeners, removed: Vec::new(), shared: Arc::clone(&shared) };
        let control = Control(Arc::new(watch::Sender::new(serving)));
        let mut engine = Self { control, threads: Vec::with_capacity(count) };
        for index in 0..count {
            match start_thread(index, engine.control.clone(), Arc::clone(&shared)) {
                Ok(thread) => engine.threads.push(thread),
                Err(error) => {
                    shared.shutdown.abort();
                    engine.join();
                    return Err(error.into());
                }
            }
        }
        Ok(engine)
    }

    /// Returns the connection counters.
    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.control.0.borrow().shared.stats)
    }

    /// Returns the counts of connections by source and by key.
    #[must_use]
    pub fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.control.0.borrow().shared.limits)
    }

    /// Returns the handle that changes the engine while it runs.
    #[must_use]
    pub fn control(&self) -> &Control<R, O> {
        &self.control
    }

    /// Waits until all threads have ended, which only [`Shutdown`] causes.
    pub fn join(self) -> DrainOutcome {
        for thread in self.threads {
            // A thread that panicked has dropped its connections; nothing else is left to do.
            let _ = thread.join();
        }
        let serving = self.control.0.borrow();
        serving.shared.resolver.stop(RESOLVER_SHUTDOWN_TIMEOUT);
        serving.shared.shutdown.outcome()
    }
}

/// Changes an engine while it runs.
pub struct Control<R: Router, O: Observer>(Arc<watch::Sender<ServingConfig<R, O>>>);

impl<R: Router, O: Observer> Clone for Control<R, O> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R: Router, O: Observer> Control<R, O> {
    /// Replaces the listeners and the configuration for new connections; open connections keep theirs. Connections
    /// in the queues of the old listeners are accepted first. `Config::threads` has no effect any more. Does nothing
    /// once a drain has begun.
    pub fn reload(&self, listeners: Vec<Listener>, config: Config) {
        self.0.send_if_modified(|serving| {
            if serving.shared.shutdown.is_draining() {
                return false;
            }
            set_inherited_options(&listeners, &config);
            serving.shared.connection_limit.set_limit(config.max_connections);
            serving.shared = Arc::new(serving.shared.with(config));
            let is_in =
                |all: &[Arc<Listener>], one: &Listener| all.iter().any(|other| other.id() == one.id());
            let listeners: Vec<_> = listeners.into_iter().map(Arc::new).collect();
            for listener in listeners.iter().filter(|listener| !is_in(&serving.listeners, listener)) {
                listener.listen_again(); // It may have been removed before, and admit no client since.
            }
            let before = std::mem::replace(&mut serving.listeners, listeners);
            serving.removed.extend(before.iter().map(Arc::downgrade));
            serving.removed.retain(|listener| {
                listener.upgrade().is_some_and(|listener| !is_in(&serving.listeners, &listener))
            });
            true
        });
    }

    /// Duplicates the listeners, and those that a reload has removed while clients were in their queues. None are left
    /// once a drain has begun.
    ///
    /// # Errors
    /// If no descriptors are left.
    pub fn listeners(&self) -> io::Result<Vec<Listener>> {
        let serving = self.0.borrow();
        let removed: Vec<_> = serving.removed.iter().filter_map(Weak::upgrade).collect();
        serving.listeners.iter().chain(&removed).map(|listener| listener.try_clone()).collect()
    }

    /// Calls `look` with the listeners.
    pub fn inspect<T>(&self, look: impl FnOnce(&[Arc<Listener>]) -> T) -> T {
        look(&self.0.borrow().listeners)
    }

    /// Stops listening.
    fn close(&self) {
        self.0.send_modify(|serving| {
            serving.listeners.clear();
            serving.removed.clear();
        });
    }
}

/// Sets the options that accepted sockets inherit from their listener.
fn set_inherited_options(listeners: &[Listener], config: &Config) {
    listeners.iter().for_each(|listener| listener.set_inherited_options(Keepalive::of(config)));
}

fn start_thread<R: Router, O: Observer>(
    index: usize,
    control: Control<R, O>,
    shared: Arc<EngineShared<R, O>>,
) -> io::Result<JoinHandle<()>> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let lot = {
        let _context = runtime.enter();
        Lot::open()?
    };
    thread::Builder::new()
        .name(format!("proxymachine {index}"))
        .spawn(move || run(index, runtime, lot, &control, &shared))
}

fn run<R: Router, O: Observer>(
    index: usize,
    runtime: Runtime,
    lot: Lot,
    control: &Control<R, O>,
    shared: &EngineShared<R, O>,
) {
    let _finish = ReportThreadEnd(shared);
    let observer = Arc::clone(&shared.observer);
    runtime.spawn(parking::drive(lot, move || observer.memory_freed()));
    // The tasks that watch the upstreams run on the first thread.
    if index == 0 {
        let (upstreams, resolver) = (Arc::clone(&shared.config.upstreams), Arc::clone(&shared.resolver));
        runtime.spawn(async move { watch(&upstreams, &resolver).await });
    }
    runtime.block_on(serve(control, shared));
    // Drops the connections that are left, which closes their sockets.
    drop(runtime);
}

/// Reports the end of a thread, also after a panic: the extension waits for this event.
struct ReportThreadEnd<'a, R: Router, O: Observer>(&'a EngineShared<R, O>);

impl<R: Router, O: Observer> Drop for ReportThreadEnd<'_, R, O> {
    fn drop(&mut self) {
        self.0.observer.thread_finished();
    }
}

async fn serve<R: Router, O: Observer>(control: &Control<R, O>, shared: &EngineShared<R, O>) {
    let mut acceptors = JoinSet::new();
    tokio::select! {
        biased;
        _ = shared.shutdown.begun() => {}
        () = accept_all(control.0.subscribe(), &mut acceptors) => {}
    }
    control.close();
    let drained = async {
        while acceptors.join_next().await.is_some() {}
        shared.wait_until_empty().await;
    };
    tokio::select! {
        biased;
        () = drained => {}
        () = shared.shutdown.overdue() => {
            shared.shutdown.force(shared.stats.current());
        }
    }
}
