//! What a connection holds from accept to close: the engine's shared state, and its own place in the counters.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::dial::resolver::Resolver;
use crate::engine::connection_limit::ConnectionLimit;
use crate::limits::Held;
use crate::observer::metrics::Counter;
use crate::{Client, Config, ConnectionRecord, Limits, Observer, Router, Shutdown, Stats};

/// The state that all connections accepted under one configuration share.
pub(crate) struct EngineShared<R, O> {
    pub(crate) config: Config,
    pub(crate) router: Arc<R>,
    pub(crate) observer: Arc<O>,
    pub(crate) shutdown: Arc<Shutdown>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) connection_limit: Arc<ConnectionLimit>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) resolver: Arc<Resolver>,
    /// Notified when the last connection leaves a draining engine.
    empty: Arc<Notify>,
}

impl<R, O> EngineShared<R, O> {
    /// Creates the state of a new engine.
    pub(crate) fn new(config: Config, router: R, observer: O, shutdown: Arc<Shutdown>) -> Self {
        Self {
            connection_limit: Arc::new(ConnectionLimit::new(config.max_connections)),
            config,
            router: Arc::new(router),
            observer: Arc::new(observer),
            shutdown,
            stats: Arc::default(),
            limits: Arc::default(),
            resolver: Arc::default(),
            empty: Arc::default(),
        }
    }

    /// Returns the same state with another configuration.
    pub(crate) fn with(&self, config: Config) -> Self {
        Self {
            config,
            router: Arc::clone(&self.router),
            observer: Arc::clone(&self.observer),
            shutdown: Arc::clone(&self.shutdown),
            stats: Arc::clone(&self.stats),
            connection_limit: Arc::clone(&self.connection_limit),
            limits: Arc::clone(&self.limits),
            resolver: Arc::clone(&self.resolver),
            empty: Arc::clone(&self.empty),
        }
    }

    /// Resolves when no connection is left. Call this only after accepting has stopped.
    pub(crate) async fn wait_until_empty(&self) {
        loop {
            // Created before the counter is read, so that no notification is missed.
            let notified = self.empty.notified();
            if self.stats.current() == 0 {
                return;
            }
            notified.await;
        }
    }
}

/// The state of one connection, together so that a session keeps one reference.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) record: ConnectionRecord,
    /// What the connection holds in the counts of the limits.
    pub(crate) held: Held,
}

/// Counts a connection as open until it is dropped, also when its task panics or is cancelled.
pub(crate) struct ConnectionGuard<R: Router, O: Observer> {
    shared: Arc<EngineShared<R, O>>,
    session: Session,
    ended: bool,
}

impl<R: Router, O: Observer> ConnectionGuard<R, O> {
    /// Counts a client that was just accepted and holds a permit of the connection limit.
    pub(crate) fn new(shared: Arc<EngineShared<R, O>>, mut client: Client) -> Self {
        client.number = shared.stats.opened();
        client.metrics().count(Counter::Accepted);
        shared.observer.accepted(&client);
        let session = Session { client, record: ConnectionRecord::default(), held: Held::default() };
        Self { shared, session, ended: false }
    }

    /// Lends the shared state and that of the connection.
    pub(crate) fn parts(&mut self) -> (&Arc<EngineShared<R, O>>, &mut Session) {
        (&self.shared, &mut self.session)
    }

    /// Returns `Config::linger`.
    pub(crate) fn linger(&self) -> Duration {
        self.shared.config.linger
    }

    /// Reports that the connection has ended by itself and that its sockets are closed.
    pub(crate) fn end(mut self) {
        self.ended = true;
        let left = self.leave();
        self.shared.observer.connection_closed(left);
    }

    fn leave(&mut self) -> u64 {
        let Session { client, record, held } = &mut self.session;
        let metrics = client.metrics();
        metrics.count(Counter::Closed);
        record.close(client.accepted(), metrics);
        self.shared.observer.connection_recorded(client, record);
        self.shared.limits.release(held);
        let left = self.shared.stats.closed();
        self.shared.connection_limit.release();
        if left == 0 && self.shared.shutdown.is_draining() {
            self.shared.empty.notify_waiters();
        }
        left
    }
}

impl<R: Router, O: Observer> Drop for ConnectionGuard<R, O> {
    fn drop(&mut self) {
        if !self.ended {
            self.leave();
            self.shared.observer.connection_cut_off(&self.session.client);
        }
    }
}
