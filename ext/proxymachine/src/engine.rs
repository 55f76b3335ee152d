//! The Ruby class `ProxyMachine::Engine`: bind, run, drain.

use std::net::TcpListener;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use magnus::typed_data::TypedData;
use magnus::{Class, Error, Module, Object, RClass, Ruby, Symbol, Value, function, method};
use proxymachine_engine::{Config, Outcome, Shutdown, Stats, listener, server};

use crate::bridge::{BlockRouter, Bridge, Reporter};
use crate::dispatch::Dispatcher;
use crate::log::{Line, Log, Severity};
use crate::queue::Event;
use crate::{error, gvl, lock};

/// Runs once. Everything but `run` may be called from any Ruby thread.
#[magnus::wrap(class = "ProxyMachine::Engine", free_immediately)]
struct Engine {
    listeners: Mutex<Vec<TcpListener>>,
    port: u16,
    config: Config,
    bridge: Arc<Bridge>,
    shutdown: Arc<Shutdown>,
    stats: OnceLock<Arc<Stats>>,
    unwritten: Mutex<Vec<Line>>,
}

impl Engine {
    /// `Engine.listen(host, port)`: binds; connections queue from now on.
    fn listen(ruby: &Ruby, host: String, port: u16) -> Result<Self, Error> {
        let listeners = listener::bind(&host, port).map_err(|error| error::start(ruby, &error))?;
        let bound = listeners.first().and_then(|listener| listener.local_addr().ok());
        let config = Config::default();
        Ok(Self {
            listeners: Mutex::new(listeners),
            port: bound.map_or(port, |address| address.port()),
            bridge: Arc::new(Bridge::new(config.threads)),
            config,
            shutdown: Arc::new(Shutdown::new()),
            stats: OnceLock::new(),
            unwritten: Mutex::default(),
        })
    }

    /// The port that it is bound to.
    fn port(&self) -> u16 {
        self.port
    }

    /// `run(handler)`: serves until it is drained.
    fn run(ruby: &Ruby, this: &Self, handler: Value) -> Result<(), Error> {
        let listeners = std::mem::take(&mut *lock(&this.listeners));
        if listeners.is_empty() {
            return Err(error::new(ruby, "Error", "an engine runs only once"));
        }
        let generation = gvl::generation();
        let router = BlockRouter(Arc::clone(&this.bridge));
        let reporter = Reporter(Arc::clone(&this.bridge));
        let shutdown = Arc::clone(&this.shutdown);
        let start = || server::start(listeners, this.config.clone(), router, reporter, shutdown);
        let engine = gvl::without_signals(start).map_err(|error| error::start(ruby, &error))?;
        let _ = this.stats.set(Arc::clone(engine.stats()));

        let mut dispatcher = Dispatcher::new(ruby, &this.bridge, handler);
        let served = dispatcher.serve();
        if gvl::generation() != generation {
            // A forked child: there is nothing to stop and no thread to join, and whatever wakes a
            // task could wait for a lock that nobody holds any more.
            std::mem::forget(engine);
            std::mem::forget(dispatcher);
            return served;
        }
        // No Ruby from here on: `served` may be a jump under way, which must find Ruby as it left it.
        if served.is_err() {
            this.shutdown.abort();
        }
        // The threads need no GVL to finish, so it does no harm to hold it for these milliseconds.
        engine.join();
        lock(&this.unwritten).extend(dispatcher.into_lines());
        served
    }

    /// `flush(handler)`: writes the lines that `run` left when it ended early, or that wait for it.
    fn flush(&self, handler: Value) -> Result<(), Error> {
        let mut lines = std::mem::take(&mut *lock(&self.unwritten));
        lines.extend(self.bridge.queue.take_lines());
        Log::new().write(&mut lines, handler)
    }

    /// How it ended, once it has: `:drained`, or `:forced` if connections were cut off.
    fn outcome(ruby: &Ruby, this: &Self) -> Symbol {
        ruby.to_symbol(match this.shutdown.outcome() {
            Outcome::Drained => "drained",
            Outcome::Forced(_) => "forced",
        })
    }

    /// `drain(signal, seconds)`: stops accepting; `seconds` (Float or nil) bounds the wait.
    /// Safe in a trap: the log lines are written by the thread that runs.
    fn drain(&self, signal: String, limit: Option<f64>) {
        let info = |text: String| Event::Line(Line::new(Severity::Info, text));
        let mut lines = vec![info(format!("Received {signal} signal. No longer accepting new connections."))];
        if let Some(limit) = limit {
            lines.push(info(format!("Maximum time to wait for connections is {limit} seconds.")));
        }
        let (current, ..) = self.stats();
        lines.push(info(format!("Waiting for {current} connections to finish.")));
        self.bridge.queue.send(lines);
        self.bridge.draining.store(true, Relaxed);
        self.shutdown.drain(limit.map(|limit| Duration::try_from_secs_f64(limit).unwrap_or_default()));
    }

    /// Waits, on another thread than the one that runs, until all connections have ended.
    fn await_end(&self) -> Result<(), Error> {
        while !self.bridge.queue.is_finished() {
            self.bridge.queue.finished.wait(None)?;
        }
        Ok(())
    }

    /// `[current, max, total]` connections.
    fn stats(&self) -> (u64, u64, u64) {
        self.stats.get().map_or((0, 0, 0), |stats| (stats.current(), stats.max(), stats.total()))
    }
}

/// Defines the class.
pub fn init(ruby: &Ruby) -> Result<(), Error> {
    let proxymachine: RClass = ruby.class_object().const_get("ProxyMachine")?;
    let class = proxymachine.define_class("Engine", ruby.class_object())?;
    class.undef_default_alloc_func();
    // magnus looks the class up when it is first needed; a signal at that moment would be a panic.
    Engine::class(ruby);
    class.define_singleton_method("listen", function!(Engine::listen, 2))?;
    class.define_method("port", method!(Engine::port, 0))?;
    class.define_method("run", method!(Engine::run, 1))?;
    class.define_method("flush", method!(Engine::flush, 1))?;
    class.define_method("drain", method!(Engine::drain, 2))?;
    class.define_method("outcome", method!(Engine::outcome, 0))?;
    class.define_method("await_end", method!(Engine::await_end, 0))?;
    class.define_method("stats", method!(Engine::stats, 0))?;
    Ok(())
}
