//! The admin address of an engine: binds the address and provides its counters.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use magnus::r_hash::ForEach;
use magnus::{Error, RHash, Ruby};
use proxymachine_admin::snapshot::{
    Connections, HandshakeCount, Histogram, LimitStats, ListenerStats, NamedCount, OverLimit, ProgramInfo,
    Setting, TerminationCount, TlsStats,
};
use proxymachine_admin::{Admin, AdminServer, Snapshot, SnapshotSource, State, WorkerAggregate};
use proxymachine_engine::limits::LimitsSnapshot;
use proxymachine_engine::observer::metrics::{self, Durations, ListenerMetrics, Timing, TlsKind, TlsSide};
use proxymachine_engine::tls::{Certificates, TlsVersion};
use proxymachine_engine::{Control, Endpoint, Engine, Listener, Reason, Shutdown, Stats, TerminationCode};

use crate::convert::value;
use crate::log_observer::LogObserver;
use crate::ruby_router::RubyRouter;
use crate::shared::RubyShared;
use crate::upstreams::snapshot;
use crate::{error, gvl, lock, log, tls};

/// The admin address of an engine, if one is configured.
#[derive(Default)]
pub struct EngineAdmin {
    admin: Mutex<Option<Admin>>,
    server: Mutex<Option<AdminServer>>,
    facts: Arc<Facts>,
    /// The source of the counters. Stays after the server has stopped, since `counts` still needs the source.
    source: Mutex<Option<Arc<dyn SnapshotSource>>>,
}

/// Facts from Ruby: the program, its settings, and the counters of an earlier process.
#[derive(Default)]
struct Facts {
    program: Mutex<Option<(ProgramInfo, Instant)>>,
    settings: Mutex<Vec<Setting>>,
    /// The certificates that the config has loaded.
    certificates: Mutex<Vec<Certificates>>,
    /// The connection limit.
    connection_limit: AtomicU64,
    /// Counters of earlier processes, each under a number of its own.
    earlier: Mutex<BTreeMap<i32, Snapshot>>,
}

impl EngineAdmin {
    /// Binds the address, or takes the socket from `open`. Returns the port and the rest of `open`. See
    /// `Engine::bind_admin`.
    pub fn bind(
        &self,
        ruby: &Ruby,
        address: String,
        about: RHash,
        mut open: Vec<Listener>,
    ) -> Result<(Option<u16>, Vec<Listener>), Error> {
        let owner = (value(about, "user")?, value(about, "group")?);
        let text = |key| Ok::<_, Error>(value::<String>(about, key)?.unwrap_or_default());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let program = ProgramInfo {
            name: text("name")?,
            version: text("version")?,
            ruby: text("ruby")?,
            pid: std::process::id(),
            started: now.as_secs_f64(),
            uptime: 0.0,
        };
        let bind = move || Ok((Admin::open(&address, owner, &mut open)?, open));
        let bound = gvl::without_holding_up(ruby, bind)?;
        let (admin, open) = bound.map_err(|error| error::start(ruby, &error))?;
        let port = admin.port();
        *lock(&self.facts.program) = Some((program, Instant::now()));
        *lock(&self.admin) = Some(admin);
        Ok((port, open))
    }

    /// Sets the settings and the connection limit. See `Engine::show_settings`.
    pub fn show_settings(&self, texts: RHash, connections: u64) -> Result<(), Error> {
        let mut settings = Vec::with_capacity(texts.len());
        texts.foreach(|name: String, value: String| {
            settings.push(Setting { name, value });
            Ok(ForEach::Continue)
        })?;
        *lock(&self.facts.settings) = settings;
        self.facts.connection_limit.store(connections, Relaxed);
        Ok(())
    }

    /// Sets the certificates. See `Engine::show_certificates`.
    pub fn show_certificates(&self, certificates: Vec<Certificates>) {
        *lock(&self.facts.certificates) = certificates;
    }

    /// Calls `inspect` with the listening sockets. Returns None if no address is bound.
    pub fn inspect<T>(&self, inspect: impl FnOnce(&[Listener]) -> T) -> Option<T> {
        lock(&self.admin).as_ref().map(|admin| inspect(admin.listeners()))
    }

    /// Starts the server for an engine, if an address is bound.
    pub fn start(
        &self,
        engine: &Engine<RubyRouter, LogObserver>,
        shared: &Arc<RubyShared>,
        shutdown: &Arc<Shutdown>,
    ) -> io::Result<()> {
        if let Some(admin) = &*lock(&self.admin) {
            shared.backends.turn_on();
            shared.failures.turn_on();
            let source = EngineSource {
                facts: Arc::clone(&self.facts),
                stats: engine.stats(),
                shared: Arc::clone(shared),
                control: engine.control().clone(),
                endpoints: Mutex::default(),
                shutdown: Arc::clone(shutdown),
            };
            self.start_server(admin, Arc::new(source))?;
        }
        Ok(())
    }

    fn start_server(&self, admin: &Admin, source: Arc<dyn SnapshotSource>) -> io::Result<()> {
        *lock(&self.source) = Some(Arc::clone(&source));
        *lock(&self.server) = Some(admin.start(source)?);
        Ok(())
    }

    /// Returns the counters as JSON; None if the server was never started.
    pub fn counts(&self) -> Option<String> {
        let source = lock(&self.source).clone()?;
        serde_json::to_string(&source.snapshot()).ok()
    }

    /// Sets or removes the counters of an earlier process. A second call replaces the counters of the first.
    pub fn carry_counts(&self, process: i32, json: Option<&str>) {
        let Some(json) = json else {
            lock(&self.facts.earlier).remove(&process);
            return;
        };
        if let Ok(earlier) = serde_json::from_str(json) {
            lock(&self.facts.earlier).insert(process, earlier);
        }
    }

    /// Starts the server for the sum of all workers, whose admin sockets are in `directory`.
    pub fn start_aggregate(&self, directory: &str) -> io::Result<()> {
        if let Some(admin) = &*lock(&self.admin) {
            let workers = WorkerAggregate::new(Path::new(directory));
            let source = ClusterSource { facts: Arc::clone(&self.facts), workers };
            self.start_server(admin, Arc::new(source))?;
        }
        Ok(())
    }

    /// Stops the server and releases the address.
    pub fn stop(&self) {
        drop(lock(&self.server).take());
        drop(lock(&self.admin).take());
    }

    /// Leaks the server in a forked child, in which the thread of the server does not exist.
    pub fn forget(&self) {
        std::mem::forget(lock(&self.server).take());
        std::mem::forget(lock(&self.admin).take());
    }
}

/// The counters of one engine.
struct EngineSource {
    facts: Arc<Facts>,
    stats: Arc<Stats>,
    shared: Arc<RubyShared>,
    control: Control<RubyRouter, LogObserver>,
    /// The last known endpoints. A drain closes the listeners, but their connections still count.
    endpoints: Mutex<Vec<Arc<Endpoint>>>,
    shutdown: Arc<Shutdown>,
}

impl EngineSource {
    /// Returns one endpoint for each configured address: a host name may have several sockets.
    fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        let mut listening: Vec<_> =
            self.control.inspect(|all| all.iter().map(|one| one.endpoint()).cloned().collect());
        listening.dedup_by(|one, other| Arc::ptr_eq(one, other));
        let mut known = lock(&self.endpoints);
        if !listening.is_empty() {
            *known = listening;
        }
        known.clone()
    }
}

impl SnapshotSource for EngineSource {
    fn snapshot(&self) -> Snapshot {
        let mut snapshot = self.own_snapshot();
        for earlier in lock(&self.facts.earlier).values() {
            snapshot.carry_over(earlier.clone());
        }
        snapshot
    }

    fn state(&self) -> State {
        if self.shutdown.is_draining() { State::Draining } else { State::Running }
    }

    fn own_snapshot(&self) -> Snapshot {
        let program = lock(&self.facts.program)
            .as_ref()
            .map(|(program, since)| ProgramInfo { uptime: since.elapsed().as_secs_f64(), ..program.clone() });
        Snapshot {
            program: program.unwrap_or_default(),
            state: self.state(),
            connections: Connections {
                current: self.stats.current(),
                max: self.stats.max(),
                total: self.stats.total(),
                limit: Some(self.facts.connection_limit.load(Relaxed)),
            },
            listeners: self.endpoints().iter().map(|endpoint| listener(endpoint)).collect(),
            log_lines_dropped: Some(log::dropped()),
            remotes: self.shared.backends.snapshot(),
            upstreams: snapshot(&self.shared.upstreams.upstreams),
            slow: self.shared.slow_calls(),
            failures: self.shared.failures.snapshot(),
            certificates: tls::certificate_stats(&lock(&self.facts.certificates)),
            limits: self
                .shared
                .limits
                .get()
                .map(|limits| limit_stats(&limits.snapshot()))
                .unwrap_or_default(),
            settings: lock(&self.facts.settings).clone(),
        }
    }
}

/// The counters of all workers.
struct ClusterSource {
    facts: Arc<Facts>,
    workers: WorkerAggregate,
}

impl SnapshotSource for ClusterSource {
    fn snapshot(&self) -> Snapshot {
        let mut sum = self.workers.snapshot();
        for earlier in lock(&self.facts.earlier).values() {
            sum.carry_over_with_connections(earlier.clone());
        }
        sum
    }

    fn state(&self) -> State {
        self.workers.state()
    }

    fn own_snapshot(&self) -> Snapshot {
        self.workers.snapshot()
    }
}

/// Returns the counts by source and by key.
fn limit_stats(limits: &LimitsSnapshot) -> LimitStats {
    let over = limits.over.iter().map(|over| OverLimit {
        name: log::printable(&over.name),
        limit: over.limit.into(),
        max: over.max.into(),
        current: over.current.into(),
        closed: over.closed,
    });
    LimitStats {
        sources: Some(limits.open_sources as u64),
        keys: Some(limits.keys as u64),
        over: over.collect(),
    }
}

/// Returns the counters of one listener.
fn listener(endpoint: &Endpoint) -> ListenerStats {
    use metrics::Counter::*;
    let metrics = endpoint.metrics();
    let count = |name: &'static str, what| NamedCount { name: name.into(), count: metrics.total(what) };
    let ends = TerminationCode::all().zip(metrics.ends()).filter(|(_, count)| *count > 0);
    ListenerStats {
        name: endpoint.name().unwrap_or_else(|| endpoint.address()).into(),
        address: endpoint.address().into(),
        current: metrics.current(),
        accepted: metrics.total(Accepted),
        decisions: vec![
            count("connect", AnsweredConnect),
            count("close", AnsweredClose),
            count("wait", AnsweredWait),
            count("tls", AnsweredTls),
            count("invalid", AnsweredInvalid),
            count("raised", Raised),
        ],
        ends: ends
            .map(|(info, count)| TerminationCount {
                code: info.letters.into(),
                meaning: plain(info.meaning),
                cause: plain(info.cause),
                remedy: plain(info.cure),
                is_error: info.is_error,
                count,
            })
            .collect(),
        limits: vec![
            count("max_connections", LimitConnections),
            count("max_connections_per_source", LimitSourceConnections),
            count("connection_rate_per_source", LimitSourceRate),
            count("limit", LimitKey),
            count("max_preread", LimitPreread),
            count("decision_timeout", LimitDecision),
            count("inactivity_timeout", LimitInactivity),
            count("idle_timeout", LimitIdle),
            count("half_closed_timeout", LimitHalfClosed),
        ],
        accept_failures: vec![
            count("descriptors", AcceptNoDescriptors),
            count("memory", AcceptNoMemory),
            count("other", AcceptFailed),
        ],
        retries: metrics.total(Retries),
        connect_failures: metrics.connect_failures().iter().sum(),
        connect_failure_reasons: Reason::all()
            .zip(metrics.connect_failures())
            .map(|((word, _), count)| NamedCount { name: word.into(), count })
            .collect(),
        bytes_in: metrics.total(ToBackend),
        bytes_out: metrics.total(ToClient),
        queue_wait: histogram(metrics, Timing::QueueWait),
        block_time: histogram(metrics, Timing::Block),
        connect_time: histogram(metrics, Timing::Connect),
        first_byte: histogram(metrics, Timing::FirstByte),
        tls: tls_stats(metrics),
    }
}

/// Returns the counters of TLS.
fn tls_stats(metrics: &ListenerMetrics) -> TlsStats {
    let counts = TlsKind::all().zip(metrics.handshakes()).filter(|(_, count)| *count > 0);
    let count = |(kind, count): (TlsKind, u64)| HandshakeCount {
        side: if kind.side == TlsSide::Client { "client" } else { "server" }.into(),
        version: kind.version.map_or("", TlsVersion::name).into(),
        is_resumed: kind.is_resumed,
        is_ok: kind.version.is_some(),
        count,
    };
    let mut handshake_time = histogram(metrics, Timing::ClientTls);
    handshake_time.add(&histogram(metrics, Timing::BackendTls));
    TlsStats {
        handshakes: counts.map(count).collect(),
        truncated: metrics.total(metrics::Counter::TlsTruncated),
        handshake_time,
    }
}

/// Returns a text of the table of codes without its Markdown.
fn plain(markdown: &'static str) -> Cow<'static, str> {
    if markdown.contains('`') { markdown.replace('`', "").into() } else { markdown.into() }
}

fn histogram(metrics: &ListenerMetrics, what: Timing) -> Histogram {
    let Durations { counts, sum } = metrics.durations(what);
    Histogram { bounds: (&metrics::BOUNDS[..]).into(), counts: counts.to_vec(), sum: sum.as_secs_f64() }
}
