//! What the admin shows of a running engine.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use magnus::r_hash::ForEach;
use magnus::{Error, RHash, Ruby};
use proxymachine_admin::snapshot::{Connections, Program, Setting};
use proxymachine_admin::{Admin, Running, Snapshot, Source, State};
use proxymachine_engine::{Listener, Shutdown, Stats};

use crate::engine::value;
use crate::{error, lock};

/// Where an engine shows itself, if it does.
#[derive(Default)]
pub struct Panel {
    admin: Mutex<Option<Admin>>,
    running: Mutex<Option<Running>>,
    about: Arc<About>,
}

/// What Ruby told about itself and its configuration.
#[derive(Default)]
struct About {
    program: Mutex<Option<(Program, Instant)>>,
    settings: Mutex<Vec<Setting>>,
    /// Connections that there may be.
    limit: AtomicU64,
}

impl Panel {
    /// Binds, or takes over from `open`. See `Engine::bind_admin`.
    pub fn bind(
        &self,
        ruby: &Ruby,
        address: &str,
        about: RHash,
        mut open: Vec<Listener>,
    ) -> Result<Option<u16>, Error> {
        let owner = (value(about, "user")?, value(about, "group")?);
        let text = |key| Ok::<_, Error>(value::<String>(about, key)?.unwrap_or_default());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let program = Program {
            name: text("name")?,
            version: text("version")?,
            ruby: text("ruby")?,
            pid: std::process::id(),
            started: now.as_secs_f64(),
            uptime: 0.0,
        };
        let admin = Admin::open(address, owner, &mut open).map_err(|error| error::start(ruby, &error))?;
        let port = admin.port();
        *lock(&self.about.program) = Some((program, Instant::now()));
        *lock(&self.admin) = Some(admin);
        Ok(port)
    }

    /// See `Engine::show_settings`.
    pub fn show_settings(&self, texts: RHash, connections: u64) -> Result<(), Error> {
        let mut settings = Vec::with_capacity(texts.len());
        texts.foreach(|name: String, value: String| {
            settings.push(Setting { name, value });
            Ok(ForEach::Continue)
        })?;
        *lock(&self.about.settings) = settings;
        self.about.limit.store(connections, Relaxed);
        Ok(())
    }

    /// Looks at what is bound; None if nothing is.
    pub fn inspect<T>(&self, look: impl FnOnce(&[Listener]) -> T) -> Option<T> {
        lock(&self.admin).as_ref().map(|admin| look(admin.listeners()))
    }

    /// Answers from now on, if it is bound.
    pub fn start(&self, stats: &Arc<Stats>, shutdown: &Arc<Shutdown>) -> io::Result<()> {
        if let Some(admin) = &*lock(&self.admin) {
            let (stats, shutdown) = (Arc::clone(stats), Arc::clone(shutdown));
            let watch = Watch { about: Arc::clone(&self.about), stats, shutdown };
            *lock(&self.running) = Some(admin.start(Arc::new(watch))?);
        }
        Ok(())
    }

    /// Answers no more, and lets go of the address.
    pub fn hide(&self) {
        drop(lock(&self.running).take());
        drop(lock(&self.admin).take());
    }

    /// In a forked child, where its thread is not.
    pub fn forget(&self) {
        std::mem::forget(lock(&self.running).take());
        std::mem::forget(lock(&self.admin).take());
    }
}

/// Looks at an engine, without its threads' knowledge.
struct Watch {
    about: Arc<About>,
    stats: Arc<Stats>,
    shutdown: Arc<Shutdown>,
}

impl Source for Watch {
    fn snapshot(&self) -> Snapshot {
        let program = lock(&self.about.program)
            .as_ref()
            .map(|(program, since)| Program { uptime: since.elapsed().as_secs_f64(), ..program.clone() });
        Snapshot {
            program: program.unwrap_or_default(),
            state: self.state(),
            connections: Connections {
                current: self.stats.current(),
                max: self.stats.max(),
                total: self.stats.total(),
                limit: Some(self.about.limit.load(Relaxed)),
            },
            settings: lock(&self.about.settings).clone(),
            ..Snapshot::default()
        }
    }

    fn state(&self) -> State {
        if self.shutdown.is_draining() { State::Draining } else { State::Running }
    }
}
