//! The Ruby class `ProxyMachine::Engine`: binds listeners, runs the native engine and drains it.

mod admin;
mod logs;
mod systemd_sockets;
mod upstreams;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use magnus::typed_data::TypedData;
use magnus::{Class, Error, Module, Object, RArray, RClass, RHash, Ruby, Symbol, Value, function, method};
use proxymachine_engine::tls::Authorities;
use proxymachine_engine::tls::tickets::TicketKeys;
use proxymachine_engine::upstream::Definition;
use proxymachine_engine::{
    Config, Control, DrainOutcome, Engine as NativeEngine, Listener, Networks, Shutdown, SocketFile, Stats,
};

use self::systemd_sockets::SystemdSockets;
use crate::admin::EngineAdmin;
use crate::block_call::BlockCaller;
use crate::codes;
use crate::convert::{SocketTriple, describe, inherit, open_all, read_config, seconds, value};
use crate::dispatch::Dispatcher;
use crate::event::Event;
use crate::explain::{explain, invalid_remote, read_answer};
use crate::handler::Handler;
use crate::log::{Line, Severity};
use crate::log_observer::LogObserver;
use crate::ruby_router::RubyRouter;
use crate::shared::RubyShared;
use crate::thread_pool::ThreadPool;
use crate::upstreams::definitions;
use crate::{error, gvl, lock, thread_room};

/// An engine, which runs once. Any Ruby thread may call each method except `run`.
#[magnus::wrap(class = "ProxyMachine::Engine", free_immediately)]
struct Engine {
    /// The listeners until the engine runs; then `control` has them.
    listeners: Mutex<Vec<Listener>>,
    /// Files of inherited Unix sockets that are not configured. They are deleted by `own_socket_files`.
    unused_files: Mutex<Vec<Arc<SocketFile>>>,
    /// Sockets of systemd that are not configured.
    unused_sockets: SystemdSockets,
    config: Config,
    control: OnceLock<Control<RubyRouter, LogObserver>>,
    /// The configuration that `apply` puts into effect.
    prepared: Mutex<Option<Prepared>>,
    pool: Option<ThreadPool>,
    shared: Arc<RubyShared>,
    shutdown: Arc<Shutdown>,
    stats: OnceLock<Arc<Stats>>,
    admin: EngineAdmin,
    /// Log lines that `run` left.
    unwritten_lines: Mutex<Vec<Line>>,
}

/// A configuration that `prepare` has checked and opened.
struct Prepared {
    listeners: Vec<Listener>,
    unused_sockets: SystemdSockets,
    config: Config,
    upstreams: Vec<Definition>,
    slow_block: Option<Duration>,
}

impl Engine {
    /// `Engine.listen(listeners, settings, inherited)`: binds the listeners, so that connections wait in
    /// their backlog. Each listener is a Hash with `:address` and optionally `:name`, `:trusted_proxies`,
    /// `:mode`, `:user`, `:group`. The settings are a Hash, too. Ruby has checked both. Inherited sockets are
    /// `[[descriptor, address], …]`.
    fn listen(
        ruby: &Ruby,
        configured: RArray,
        settings: RHash,
        inherited: Vec<(i32, String)>,
    ) -> Result<Self, Error> {
        let mut config = read_config(ruby, settings)?;
        // Worker processes, which are forked later, share the keys that this creates.
        TicketKeys::shared();
        let (listeners, mut unused) = open_all(ruby, configured, &config, inherit(ruby, &inherited)?)?;
        let unused_sockets = SystemdSockets::take(&mut unused);
        let shared = Arc::new(RubyShared::new(config.threads));
        config.upstreams = Arc::clone(&shared.upstreams.upstreams);
        config.upstreams.define(definitions(ruby, settings)?);
        shared.set_slow_block(seconds(settings, "slow_block")?);
        shared.dontlognull.store(config.dontlognull, Relaxed);
        Ok(Self {
            listeners: Mutex::new(listeners),
            unused_files: Mutex::new(unused.into_iter().filter_map(Listener::into_file).collect()),
            unused_sockets,
            shared,
            pool: value::<u64>(settings, "threads")?
                .filter(|count| *count > 1)
                .map(|_| ThreadPool::default()),
            config,
            control: OnceLock::new(),
            prepared: Mutex::default(),
            shutdown: Arc::new(Shutdown::new()),
            stats: OnceLock::new(),
            admin: EngineAdmin::default(),
            unwritten_lines: Mutex::default(),
        })
    }

    /// `prepare(listeners, settings)`: opens the configured listeners that are not open yet. Returns the
    /// future value of `sockets`. If a listener cannot be opened, nothing changes.
    fn prepare(
        ruby: &Ruby,
        this: &Self,
        configured: RArray,
        settings: RHash,
    ) -> Result<Vec<SocketTriple>, Error> {
        let config = Config {
            threads: this.config.threads,
            upstreams: Arc::clone(&this.config.upstreams),
            ..read_config(ruby, settings)?
        };
        let upstreams = definitions(ruby, settings)?;
        let open = match this.control.get() {
            Some(control) => control.listeners(),
            None => lock(&this.listeners).iter().map(Listener::try_clone).collect(),
        };
        let open = open.and_then(|mut open| this.unused_sockets.offer(&mut open).map(|()| open));
        let open = open.map_err(|e| error::new(ruby, "StartError", e.to_string()))?;
        let (listeners, mut unused) = open_all(ruby, configured, &config, open)?;
        let unused_sockets = SystemdSockets::take(&mut unused);
        let sockets = listeners.iter().map(describe).collect();
        let slow_block = seconds(settings, "slow_block")?;
        *lock(&this.prepared) = Some(Prepared { listeners, unused_sockets, config, upstreams, slow_block });
        Ok(sockets)
    }

    /// `apply`: puts the prepared configuration into effect for new connections.
    fn apply(&self) {
        let prepared = lock(&self.prepared).take();
        let Some(Prepared { listeners, unused_sockets, config, upstreams, slow_block }) = prepared else {
            return;
        };
        self.unused_sockets.replace(unused_sockets);
        config.upstreams.define(upstreams);
        self.shared.set_slow_block(slow_block);
        self.shared.dontlognull.store(config.dontlognull, Relaxed);
        Authorities::forget_system();
        match self.control.get() {
            Some(control) => control.reload(listeners, config),
            None => self.replace_listeners(listeners),
        }
    }

    /// Replaces the listeners of a process that serves no client itself. Its workers before the reload may be at their
    /// limit, and keep a listener that is left out until they have accepted the clients in its queue.
    fn replace_listeners(&self, listeners: Vec<Listener>) {
        let before = std::mem::replace(&mut *lock(&self.listeners), listeners);
        let now: Vec<_> = lock(&self.listeners).iter().map(Listener::id).collect();
        before.iter().filter(|listener| !now.contains(&listener.id())).for_each(Listener::admit_no_client);
    }

    /// `discard`: drops the prepared configuration.
    fn discard(&self) {
        drop(lock(&self.prepared).take());
    }

    /// `sockets`: the listening sockets.
    fn sockets(&self) -> Vec<SocketTriple> {
        match self.control.get() {
            Some(control) => control.inspect(|listeners| listeners.iter().map(|one| describe(one)).collect()),
            None => lock(&self.listeners).iter().map(describe).collect(),
        }
    }

    /// `close_listeners(keep_files)`: closes the listeners of an engine that does not run. With `keep_files` the files
    /// of Unix sockets stay, since another process listens there.
    fn close_listeners(&self, keep_files: bool) {
        let mut listeners = std::mem::take(&mut *lock(&self.listeners));
        listeners.extend(lock(&self.prepared).take().into_iter().flat_map(|prepared| prepared.listeners));
        if keep_files {
            listeners.iter().for_each(Listener::keep_file);
        }
        self.unused_sockets.replace(SystemdSockets::default());
    }

    /// `unused_sockets`: the sockets of systemd at which the engine does not listen.
    fn unused_sockets(&self) -> Vec<SocketTriple> {
        self.unused_sockets.describe()
    }

    /// `hand_over(keep_files)`: prepares the drain of a process beside which another one accepts on the same sockets,
    /// after an upgrade. With `keep_files` also the files of Unix sockets are the other one's.
    fn hand_over(&self, keep_files: bool) {
        self.shutdown.hand_over();
        if keep_files {
            self.each_listener(Listener::keep_file);
        }
        // The new process answers at the admin address, so that the old one must not.
        self.admin.stop();
    }

    /// `own_socket_files`: takes over the files of the inherited Unix sockets.
    fn own_socket_files(&self) {
        self.each_listener(Listener::own_file);
        lock(&self.unused_files).drain(..).for_each(|file| file.own());
    }

    fn each_listener(&self, act: impl Fn(&Listener)) {
        match self.control.get() {
            Some(control) => control.inspect(|listeners| listeners.iter().for_each(|one| act(one))),
            None => lock(&self.listeners).iter().for_each(&act),
        }
        self.admin.inspect(|listeners| listeners.iter().for_each(&act));
    }

    /// `configure_blocks(accept, timeout, client)`: tells which optional blocks are configured, and whether a
    /// block takes the client.
    fn configure_blocks(&self, accept: bool, timeout: bool, client: bool) {
        let blocks = &self.shared.configured_blocks;
        blocks.accept.store(accept, Relaxed);
        blocks.timeout.store(timeout, Relaxed);
        blocks.client.store(client, Relaxed);
    }

    /// `run(handler)`: serves until the engine is drained.
    fn run(ruby: &Ruby, this: &Self, handler: Value) -> Result<(), Error> {
        let handler = Handler::new(handler);
        let listeners = std::mem::take(&mut *lock(&this.listeners));
        if listeners.is_empty() {
            return Err(error::new(ruby, "Error", "an engine runs only once"));
        }
        let generation = gvl::generation();
        let router = RubyRouter(Arc::clone(&this.shared));
        let observer = LogObserver::new(&this.shared);
        let shutdown = Arc::clone(&this.shutdown);
        let start = || NativeEngine::start(listeners, this.config.clone(), router, observer, shutdown);
        let engine = gvl::without_signals(start).map_err(|error| error::start(ruby, &error))?;
        let _ = this.stats.set(engine.stats());
        let _ = this.shared.limits.set(engine.limits());
        let _ = this.control.set(engine.control().clone());
        let start_access_log_and_admin = || {
            this.shared.access_log.start(&this.shared.mailbox)?;
            this.shared.recorder.start(&this.shared.mailbox)?;
            this.admin.start(&engine, &this.shared, &this.shutdown)
        };
        if let Err(error) = gvl::without_signals(start_access_log_and_admin) {
            this.shutdown.abort();
            engine.join();
            return Err(error::start(ruby, &error.into()));
        }

        let caller = BlockCaller::new(ruby, &this.shared, handler);
        let mut dispatcher = Dispatcher::new(&this.shared, caller, this.pool.as_ref());
        let served = handler.started().and_then(|()| dispatcher.serve());
        if gvl::generation() != generation {
            // A forked child has no engine threads to join. Waking a task could wait for a lock that a
            // missing thread held at the fork.
            std::mem::forget(engine);
            this.admin.forget();
            std::mem::forget(dispatcher);
            return served;
        }
        // No calls to Ruby from here on: `served` may be a pending jump, which needs Ruby's state unchanged.
        if served.is_err() {
            this.shutdown.abort();
        }
        // The GVL is held for these milliseconds, which is safe, since the threads finish without the GVL.
        engine.join();
        this.shared.access_log.finish();
        this.shared.recorder.finish();
        this.admin.stop();
        lock(&this.unwritten_lines).extend(dispatcher.into_lines());
        if served.is_ok() && !this.shutdown.is_draining() {
            return Err(error::new(ruby, "Error", "all engine threads have ended by a defect"));
        }
        served
    }

    /// `serve_pool_thread(handler)`: calls blocks on this thread until `stop_thread_pool`. Returns at once
    /// without the setting `threads`.
    fn serve_pool_thread(ruby: &Ruby, this: &Self, handler: Value) -> Result<(), Error> {
        match &this.pool {
            Some(pool) => pool.serve(ruby, &this.shared, Handler::new(handler)),
            None => Ok(()),
        }
    }

    /// `stop_thread_pool`: ends `serve_pool_thread` on all threads.
    fn stop_thread_pool(&self) {
        if let Some(pool) = &self.pool {
            pool.close();
        }
    }

    /// `outcome`: how the drain ended: `:drained`, or `:forced` if connections were cut off.
    fn outcome(ruby: &Ruby, this: &Self) -> Symbol {
        ruby.to_symbol(match this.shutdown.outcome() {
            DrainOutcome::Drained => "drained",
            DrainOutcome::Forced(_) => "forced",
        })
    }

    /// `drain(signal, seconds)`: stops accepting, and waits for open connections for at most `seconds` (Float
    /// or nil). Safe in a trap, since the thread that called `run` writes the log lines.
    fn drain(&self, signal: String, limit: Option<f64>) {
        let info = |text: String| Event::Line(Line::new(Severity::Info, text));
        let mut lines = vec![info(format!("Received {signal} signal. No longer accepting new connections."))];
        if let Some(limit) = limit {
            lines.push(info(format!("Maximum time to wait for connections is {limit} seconds.")));
        }
        let (current, ..) = self.stats();
        lines.push(info(format!("Waiting for {current} connections to finish.")));
        self.shared.mailbox.send(lines);
        self.shared.is_draining.store(true, Relaxed);
        // A limit that overflows Duration is no limit.
        self.shutdown.drain(limit.map(|limit| Duration::try_from_secs_f64(limit).unwrap_or(Duration::MAX)));
    }

    /// `Engine.network?(text)`: whether the text is a network or an IP address.
    fn is_network(text: String) -> bool {
        Networks::parse([&*text]).is_ok()
    }

    /// `wait_until_drained`: waits until all connections have ended. Must not be called on the thread that
    /// called `run`. The wait polls, too, since a wake-up reaches only one of several waiting threads.
    fn wait_until_drained(&self) -> Result<(), Error> {
        while !self.shared.mailbox.is_finished() {
            self.shared.mailbox.finished.wait(Some(Duration::from_millis(100)))?;
        }
        Ok(())
    }
}

/// Defines the class.
pub fn init(ruby: &Ruby) -> Result<(), Error> {
    let proxymachine: RClass = ruby.class_object().const_get("ProxyMachine")?;
    let class = proxymachine.define_class("Engine", ruby.class_object())?;
    class.undef_default_alloc_func();
    // magnus looks up the class at its first use, and panics if a signal interrupts the look-up. So look it
    // up now.
    Engine::class(ruby);
    class.define_singleton_method("listen", function!(Engine::listen, 3))?;
    class.define_singleton_method("network?", function!(Engine::is_network, 1))?;
    class.define_singleton_method("forks", function!(gvl::generation, 0))?;
    class.define_singleton_method("check_thread_room", function!(thread_room::check, 0))?;
    class.define_singleton_method("explain", function!(explain, -1))?;
    class.define_singleton_method("invalid_remote", function!(invalid_remote, 1))?;
    class.define_singleton_method("read_answer", function!(read_answer, -1))?;
    class.define_singleton_method("termination_codes", function!(codes::all, 0))?;
    class.define_singleton_method("failure_reasons", function!(codes::reasons, 0))?;
    class.define_singleton_method("termination_letters", function!(codes::letters, 0))?;
    class.define_method("prepare", method!(Engine::prepare, 2))?;
    class.define_method("apply", method!(Engine::apply, 0))?;
    class.define_method("discard", method!(Engine::discard, 0))?;
    class.define_method("sockets", method!(Engine::sockets, 0))?;
    class.define_method("close_listeners", method!(Engine::close_listeners, 1))?;
    class.define_method("unused_sockets", method!(Engine::unused_sockets, 0))?;
    class.define_method("hand_over", method!(Engine::hand_over, 1))?;
    class.define_method("own_socket_files", method!(Engine::own_socket_files, 0))?;
    class.define_method("configure_blocks", method!(Engine::configure_blocks, 3))?;
    class.define_method("run", method!(Engine::run, 1))?;
    class.define_method("serve_pool_thread", method!(Engine::serve_pool_thread, 1))?;
    class.define_method("stop_thread_pool", method!(Engine::stop_thread_pool, 0))?;
    class.define_method("drain", method!(Engine::drain, 2))?;
    class.define_method("outcome", method!(Engine::outcome, 0))?;
    class.define_method("wait_until_drained", method!(Engine::wait_until_drained, 0))?;
    admin::init(class)?;
    logs::init(class)?;
    upstreams::init(class)
}
