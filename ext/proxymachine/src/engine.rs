//! The Ruby class `ProxyMachine::Engine`: bind, run, drain.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use magnus::typed_data::TypedData;
use magnus::value::ReprValue;
use magnus::{Class, Error, Module, Object, RArray, RClass, RHash, Ruby, Symbol, Value, function, method};
use proxymachine_engine::error::plain;
use proxymachine_engine::{Config, Control, Listener, Outcome, Shutdown, SocketFile, Stats, server};

use crate::admin::Panel;
use crate::ask::Asker;
use crate::bridge::{BlockRouter, Bridge, Reporter};
use crate::dispatch::Dispatcher;
use crate::explain::explain;
use crate::log::{Line, Log, Severity};
use crate::pool::Pool;
use crate::queue::Event;
use crate::wanted::{Open, describe, inherit, open_all, read_config, seconds, value};
use crate::{error, gvl, lock};

/// Runs once. Everything but `run` may be called from any Ruby thread.
#[magnus::wrap(class = "ProxyMachine::Engine", free_immediately)]
struct Engine {
    /// Until it runs; then they are the control's.
    listeners: Mutex<Vec<Listener>>,
    /// Of what it inherited and does not want. They go when they are its own.
    unwanted: Mutex<Vec<Arc<SocketFile>>>,
    config: Config,
    control: OnceLock<Control<BlockRouter, Reporter>>,
    /// What `apply` puts into effect.
    prepared: Mutex<Option<Prepared>>,
    pool: Option<Pool>,
    bridge: Arc<Bridge>,
    shutdown: Arc<Shutdown>,
    stats: OnceLock<Arc<Stats>>,
    panel: Panel,
    unwritten: Mutex<Vec<Line>>,
}

/// A configuration that may yet be put into effect.
struct Prepared {
    listeners: Vec<Listener>,
    config: Config,
    slow_block: Option<Duration>,
}

impl Engine {
    /// `Engine.listen(listeners, settings, inherited)`: binds; connections queue from now on. Each listener is
    /// a Hash with `:address` and perhaps `:name`, `:balancers`, `:mode`, `:user`, `:group`; the settings are a
    /// Hash, too. Ruby has checked both. What another process has bound comes as `[[descriptor, address], …]`.
    fn listen(
        ruby: &Ruby,
        wanted: RArray,
        settings: RHash,
        inherited: Vec<(i32, String)>,
    ) -> Result<Self, Error> {
        let config = read_config(settings)?;
        let mut open = inherit(ruby, &inherited)?;
        let listeners = open_all(ruby, wanted, &config, &mut open)?;
        let bridge = Arc::new(Bridge::new(config.threads));
        bridge.set_slow_block(seconds(settings, "slow_block")?);
        Ok(Self {
            listeners: Mutex::new(listeners),
            unwanted: Mutex::new(open.into_iter().filter_map(Listener::into_file).collect()),
            bridge,
            pool: value::<u64>(settings, "threads")?.filter(|count| *count > 1).map(|_| Pool::default()),
            config,
            control: OnceLock::new(),
            prepared: Mutex::default(),
            shutdown: Arc::new(Shutdown::new()),
            stats: OnceLock::new(),
            panel: Panel::default(),
            unwritten: Mutex::default(),
        })
    }

    /// `prepare(listeners, settings)`: opens what is wanted and not open yet, for `apply`; returns what `sockets`
    /// will be. If something cannot be listened on, all stays as it is.
    fn prepare(ruby: &Ruby, this: &Self, wanted: RArray, settings: RHash) -> Result<Vec<Open>, Error> {
        let config = Config { threads: this.config.threads, ..read_config(settings)? };
        let mut open = match this.control.get() {
            Some(control) => control.listeners(),
            None => lock(&this.listeners).iter().map(Listener::try_clone).collect(),
        }
        .map_err(|e| error::new(ruby, "StartError", e.to_string()))?;
        let listeners = open_all(ruby, wanted, &config, &mut open)?;
        let sockets = listeners.iter().map(describe).collect();
        *lock(&this.prepared) =
            Some(Prepared { listeners, config, slow_block: seconds(settings, "slow_block")? });
        Ok(sockets)
    }

    /// `apply`: from now on what was prepared counts. What is connected stays as it is.
    fn apply(&self) {
        let Some(Prepared { listeners, config, slow_block }) = lock(&self.prepared).take() else { return };
        self.bridge.set_slow_block(slow_block);
        match self.control.get() {
            Some(control) => control.reload(listeners, config),
            None => *lock(&self.listeners) = listeners,
        }
    }

    /// `discard`: what was prepared will not count.
    fn discard(&self) {
        drop(lock(&self.prepared).take());
    }

    /// `sockets`: what it listens on.
    fn sockets(&self) -> Vec<Open> {
        match self.control.get() {
            Some(control) => control.inspect(|listeners| listeners.iter().map(describe).collect()),
            None => lock(&self.listeners).iter().map(describe).collect(),
        }
    }

    /// `hand_over`: after the drain that comes now, it all goes on in another process.
    fn hand_over(&self) {
        self.shutdown.hand_over();
        self.each_listener(Listener::keep_file);
        // The other one answers there, and nobody shall have to guess who does.
        self.panel.hide();
    }

    /// `own_files`: those of the Unix sockets that it inherited are its own from now on.
    fn own_files(&self) {
        self.each_listener(Listener::own_file);
        lock(&self.unwanted).drain(..).for_each(|file| file.own());
    }

    fn each_listener(&self, act: impl Fn(&Listener)) {
        match self.control.get() {
            Some(control) => control.inspect(|listeners| listeners.iter().for_each(&act)),
            None => lock(&self.listeners).iter().for_each(&act),
        }
        self.panel.inspect(|listeners| listeners.iter().for_each(&act));
    }

    /// `bind_admin(address, about, inherited)`: where it shows itself while it runs. `about` is a Hash with
    /// `:name`, `:version`, `:ruby` and perhaps `:user` and `:group`, whose ids a Unix socket's file gets.
    /// Returns the port, nil for a Unix socket.
    fn bind_admin(
        ruby: &Ruby,
        this: &Self,
        address: String,
        about: RHash,
        inherited: Vec<(i32, String)>,
    ) -> Result<Option<u16>, Error> {
        let mut open = inherit(ruby, &inherited)?;
        let port = this.panel.bind(ruby, &address, about, &mut open)?;
        lock(&this.unwanted).extend(open.into_iter().filter_map(Listener::into_file));
        Ok(port)
    }

    /// `show_settings(texts, connections)`: what is set, by name, and how many connections there may be.
    fn show_settings(&self, texts: RHash, connections: u64) -> Result<(), Error> {
        self.panel.show_settings(texts, connections)
    }

    /// `admin_sockets`: where it shows itself, as `sockets` has it.
    fn admin_sockets(&self) -> Vec<(i32, String, Option<u16>)> {
        self.panel.inspect(|listeners| listeners.iter().map(describe).collect()).unwrap_or_default()
    }

    /// `hide`: it shows itself no more, which comes by itself if `run` returns.
    fn hide(&self) {
        self.panel.hide();
    }

    /// `log_to(access_log, json)`: where the access log goes (a path, "-" or nil), and whether all lines are JSON.
    fn log_to(ruby: &Ruby, this: &Self, path: Option<String>, is_json: bool) -> Result<(), Error> {
        let access = &this.bridge.access;
        this.bridge.is_json.store(is_json, Relaxed);
        let name = path.clone().unwrap_or_default();
        let opened = access.open(path, is_json).and_then(|()| match this.control.get() {
            Some(_) => gvl::without_signals(|| access.start()),
            None => Ok(()),
        });
        let failed = |error| format!("cannot write the access log {name}: {}", plain(&error));
        opened.map_err(|error| error::new(ruby, "StartError", failed(error)))
    }

    /// `gather(directory)`: where `bind_admin` bound, shows the sum of the processes whose admins are sockets in that
    /// directory.
    fn gather(ruby: &Ruby, this: &Self, directory: String) -> Result<(), Error> {
        gvl::without_signals(|| this.panel.gather(&directory))
            .map_err(|error| error::start(ruby, &error.into()))
    }

    /// `reopen`: opens the file of the access log once more.
    fn reopen(ruby: &Ruby, this: &Self) -> Result<(), Error> {
        let failed = |error| format!("cannot write the access log: {}", plain(&error));
        this.bridge.access.reopen().map_err(|error| error::new(ruby, "StartError", failed(error)))
    }

    /// `want(accept, timeout, client)`: which blocks there are, and whether one takes the client.
    fn want(&self, accept: bool, timeout: bool, client: bool) {
        let wanted = &self.bridge.wanted;
        wanted.accept.store(accept, Relaxed);
        wanted.timeout.store(timeout, Relaxed);
        wanted.client.store(client, Relaxed);
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
        let _ = this.stats.set(engine.stats());
        let _ = this.control.set(engine.control().clone());
        let show = || {
            this.bridge.access.start()?;
            this.panel.start(&engine, &this.bridge, &this.shutdown)
        };
        if let Err(error) = gvl::without_signals(show) {
            this.shutdown.abort();
            engine.join();
            return Err(error::start(ruby, &error.into()));
        }

        let asker = Asker::new(ruby, &this.bridge, handler);
        let mut dispatcher = Dispatcher::new(&this.bridge, asker, this.pool.as_ref());
        let served = handler.funcall("started", ()).and_then(|_: Value| dispatcher.serve());
        if gvl::generation() != generation {
            // A forked child: there is nothing to stop and no thread to join, and whatever wakes a
            // task could wait for a lock that nobody holds any more.
            std::mem::forget(engine);
            this.panel.forget();
            std::mem::forget(dispatcher);
            return served;
        }
        // No Ruby from here on: `served` may be a jump under way, which must find Ruby as it left it.
        if served.is_err() {
            this.shutdown.abort();
        }
        // The threads need no GVL to finish, so it does no harm to hold it for these milliseconds.
        engine.join();
        this.bridge.access.finish();
        this.panel.hide();
        lock(&this.unwritten).extend(dispatcher.into_lines());
        served
    }

    /// `work(handler)`: answers beside the thread that runs, until `dismiss`. Only with the setting `threads`.
    fn work(ruby: &Ruby, this: &Self, handler: Value) -> Result<(), Error> {
        match &this.pool {
            Some(pool) => pool.serve(ruby, &this.bridge, handler),
            None => Ok(()),
        }
    }

    /// Ends `work` on all threads.
    fn dismiss(&self) {
        if let Some(pool) = &self.pool {
            pool.close();
        }
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
        // What no clock can hold is no limit.
        self.shutdown.drain(limit.map(|limit| Duration::try_from_secs_f64(limit).unwrap_or(Duration::MAX)));
    }

    /// `warn(line)`: has it written to the log. Safe in a trap.
    fn warn(&self, text: String) {
        self.bridge.queue.send(vec![Event::Line(Line::new(Severity::Warn, text))]);
    }

    /// Waits, on another thread than the one that runs, until all connections have ended. Looks now and then, too:
    /// of two threads that wait, only one is called.
    fn await_end(&self) -> Result<(), Error> {
        while !self.bridge.queue.is_finished() {
            self.bridge.queue.finished.wait(Some(Duration::from_millis(100)))?;
        }
        Ok(())
    }

    /// `carry_over(max, total)`: connections that another process counted before this one took over.
    fn carry_over(&self, max: u64, total: u64) {
        if let Some(stats) = self.stats.get() {
            stats.carry_over(max, total);
        }
    }

    /// `counts`: what is shown, as JSON, for `carry_counts` of another process; nil if nothing is.
    fn counts(&self) -> Option<String> {
        self.panel.counts()
    }

    fn carry_counts(&self, json: String) {
        self.panel.carry_counts(&json);
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
    class.define_singleton_method("listen", function!(Engine::listen, 3))?;
    class.define_singleton_method("explain", function!(explain, 2))?;
    class.define_method("prepare", method!(Engine::prepare, 2))?;
    class.define_method("apply", method!(Engine::apply, 0))?;
    class.define_method("discard", method!(Engine::discard, 0))?;
    class.define_method("sockets", method!(Engine::sockets, 0))?;
    class.define_method("hand_over", method!(Engine::hand_over, 0))?;
    class.define_method("gather", method!(Engine::gather, 1))?;
    class.define_method("bind_admin", method!(Engine::bind_admin, 3))?;
    class.define_method("show_settings", method!(Engine::show_settings, 2))?;
    class.define_method("admin_sockets", method!(Engine::admin_sockets, 0))?;
    class.define_method("hide", method!(Engine::hide, 0))?;
    class.define_method("own_files", method!(Engine::own_files, 0))?;
    class.define_method("log_to", method!(Engine::log_to, 2))?;
    class.define_method("reopen", method!(Engine::reopen, 0))?;
    class.define_method("want", method!(Engine::want, 3))?;
    class.define_method("run", method!(Engine::run, 1))?;
    class.define_method("work", method!(Engine::work, 1))?;
    class.define_method("dismiss", method!(Engine::dismiss, 0))?;
    class.define_method("flush", method!(Engine::flush, 1))?;
    class.define_method("drain", method!(Engine::drain, 2))?;
    class.define_method("warn", method!(Engine::warn, 1))?;
    class.define_method("outcome", method!(Engine::outcome, 0))?;
    class.define_method("await_end", method!(Engine::await_end, 0))?;
    class.define_method("counts", method!(Engine::counts, 0))?;
    class.define_method("carry_counts", method!(Engine::carry_counts, 1))?;
    class.define_method("carry_over", method!(Engine::carry_over, 2))?;
    class.define_method("stats", method!(Engine::stats, 0))?;
    Ok(())
}
