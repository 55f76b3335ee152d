//! What the admin shows of a running engine.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use magnus::r_hash::ForEach;
use magnus::{Error, RHash, Ruby};
use proxymachine_admin::snapshot::{self, Connections, Ended, Histogram, Program, Setting};
use proxymachine_admin::{Admin, Gathered, Running, Snapshot, Source, State};
use proxymachine_engine::meters::{self, Durations, Meters, Time};
use proxymachine_engine::{Code, Control, Endpoint, Engine, Listener, Shutdown, Stats};

use crate::bridge::{BlockRouter, Bridge, Reporter};
use crate::wanted::value;
use crate::{error, lock};

/// Where an engine shows itself, if it does.
#[derive(Default)]
pub struct Panel {
    admin: Mutex<Option<Admin>>,
    running: Mutex<Option<Running>>,
    about: Arc<About>,
    /// What it shows, also when it does not any more.
    watch: Mutex<Option<Arc<dyn Source>>>,
}

/// What Ruby told about itself and its configuration.
#[derive(Default)]
struct About {
    program: Mutex<Option<(Program, Instant)>>,
    settings: Mutex<Vec<Setting>>,
    /// Connections that there may be.
    limit: AtomicU64,
    /// What the process counted whose place this one took.
    before: Mutex<Option<Snapshot>>,
}

impl Panel {
    /// Binds, or takes over from `open`. See `Engine::bind_admin`.
    pub fn bind(
        &self,
        ruby: &Ruby,
        address: &str,
        about: RHash,
        open: &mut Vec<Listener>,
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
        let admin = Admin::open(address, owner, open).map_err(|error| error::start(ruby, &error))?;
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
    pub fn start(
        &self,
        engine: &Engine<BlockRouter, Reporter>,
        bridge: &Arc<Bridge>,
        shutdown: &Arc<Shutdown>,
    ) -> io::Result<()> {
        if let Some(admin) = &*lock(&self.admin) {
            bridge.remotes.turn_on();
            let watch = Watch {
                about: Arc::clone(&self.about),
                stats: engine.stats(),
                bridge: Arc::clone(bridge),
                control: engine.control().clone(),
                endpoints: Mutex::default(),
                shutdown: Arc::clone(shutdown),
            };
            self.show(admin, Arc::new(watch))?;
        }
        Ok(())
    }

    fn show(&self, admin: &Admin, source: Arc<dyn Source>) -> io::Result<()> {
        *lock(&self.watch) = Some(Arc::clone(&source));
        *lock(&self.running) = Some(admin.start(source)?);
        Ok(())
    }

    /// What was counted by now, as JSON; None if nobody looks at it.
    pub fn counts(&self) -> Option<String> {
        let watch = lock(&self.watch).clone()?;
        serde_json::to_string(&watch.snapshot()).ok()
    }

    /// Goes on from what another process has counted. Said once more, it takes the place of what was said before.
    pub fn carry_counts(&self, json: &str) {
        if let Ok(before) = serde_json::from_str(json) {
            *lock(&self.about.before) = Some(before);
        }
    }

    /// Answers for several processes, whose sockets are in `directory`, from now on.
    pub fn gather(&self, directory: &str) -> io::Result<()> {
        if let Some(admin) = &*lock(&self.admin) {
            let all = Gathered::new(Path::new(directory));
            self.show(admin, Arc::new(Sum { about: Arc::clone(&self.about), all }))?;
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
    bridge: Arc<Bridge>,
    control: Control<BlockRouter, Reporter>,
    /// Where it listened when it last did: a drain closes the listeners, and their connections go on.
    endpoints: Mutex<Vec<Arc<Endpoint>>>,
    shutdown: Arc<Shutdown>,
}

impl Watch {
    /// One for each address that was asked for, though a name may stand for several sockets.
    fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        let mut listening: Vec<_> =
            self.control.inspect(|all| all.iter().map(Listener::endpoint).cloned().collect());
        listening.dedup_by(|one, other| Arc::ptr_eq(one, other));
        let mut known = lock(&self.endpoints);
        if !listening.is_empty() {
            *known = listening;
        }
        known.clone()
    }
}

impl Source for Watch {
    fn snapshot(&self) -> Snapshot {
        let mut counted = self.counted_here();
        if let Some(before) = lock(&self.about.before).clone() {
            counted.carry(before);
        }
        counted
    }

    fn state(&self) -> State {
        if self.shutdown.is_draining() { State::Draining } else { State::Running }
    }

    fn counted_here(&self) -> Snapshot {
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
            listeners: self.endpoints().iter().map(|endpoint| listener(endpoint)).collect(),
            log_lines_dropped: self.bridge.access.is_on().then(|| self.bridge.access.dropped()),
            remotes: self.bridge.remotes.snapshot(),
            slow: lock(&self.bridge.slow).iter().cloned().collect(),
            settings: lock(&self.about.settings).clone(),
        }
    }
}

/// Several processes, and those whose place they took.
struct Sum {
    about: Arc<About>,
    all: Gathered,
}

impl Source for Sum {
    fn snapshot(&self) -> Snapshot {
        let mut sum = self.all.snapshot();
        if let Some(before) = lock(&self.about.before).clone() {
            sum.carry_all(before);
        }
        sum
    }

    fn state(&self) -> State {
        self.all.state()
    }

    fn counted_here(&self) -> Snapshot {
        self.all.snapshot()
    }
}

/// What was counted at one listener.
fn listener(endpoint: &Endpoint) -> snapshot::Listener {
    use meters::Count::*;
    let meters = endpoint.meters();
    let count = |name: &'static str, what| snapshot::Count { name: name.into(), count: meters.total(what) };
    let ends = Code::all().zip(meters.ends()).filter(|(_, count)| *count > 0);
    snapshot::Listener {
        name: endpoint.name().unwrap_or_else(|| endpoint.address()).into(),
        address: endpoint.address().into(),
        current: meters.current(),
        accepted: meters.total(Accepted),
        decisions: vec![
            count("connect", AnsweredConnect),
            count("close", AnsweredClose),
            count("wait", AnsweredWait),
            count("invalid", AnsweredInvalid),
            count("raised", Raised),
        ],
        ends: ends
            .map(|((code, meaning, is_error), count)| Ended {
                code: code.into(),
                meaning: meaning.into(),
                is_error,
                count,
            })
            .collect(),
        limits: vec![
            count("max_connections", LimitConnections),
            count("max_preread", LimitPreread),
            count("decision_timeout", LimitDecision),
            count("inactivity_timeout", LimitInactivity),
            count("idle_timeout", LimitIdle),
            count("half_closed_timeout", LimitHalfClosed),
        ],
        retries: meters.total(Retries),
        connect_failures: meters.total(ConnectFailures),
        bytes_in: meters.total(ToServer),
        bytes_out: meters.total(ToClient),
        queue_wait: histogram(meters, Time::QueueWait),
        block_time: histogram(meters, Time::Block),
        connect_time: histogram(meters, Time::Connect),
        first_byte: histogram(meters, Time::FirstByte),
    }
}

fn histogram(meters: &Meters, what: Time) -> Histogram {
    let Durations { counts, sum } = meters.durations(what);
    Histogram { bounds: (&meters::BOUNDS[..]).into(), counts: counts.to_vec(), sum: sum.as_secs_f64() }
}
