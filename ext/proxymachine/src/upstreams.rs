//! Upstreams for Ruby: their definitions, the results of checks that are made in Ruby, and the events that Ruby acts on.
//!
//! The methods are private to the gem. Any Ruby thread may call them, also before `run`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use magnus::value::ReprValue;
use magnus::{Error, Integer, IntoValue, RArray, RHash, Ruby, TryConvert, Value};
use proxymachine_admin::snapshot::{ServerStats, UpstreamStats};
use proxymachine_engine::proxy_protocol::Version;
use proxymachine_engine::upstream::{
    Balance, Definition, Event, Options, ServerStatus, UpstreamStatus, Upstreams,
};
use proxymachine_engine::{InvalidRemote, Remote};

use crate::convert::{seconds, value};
use crate::gvl::Wakeup;
use crate::log::printable;
use crate::tls::remote_tls;
use crate::{error, lock};

/// The upstreams of an engine, and the Ruby thread that waits for their events.
#[derive(Default)]
pub struct RubyUpstreams {
    pub upstreams: Arc<Upstreams>,
    /// Wakes the thread that waits. With RUBY_MN_THREADS=1 a Ruby thread may be on another native thread at each wait, so
    /// each wait has its own.
    wakeup: Arc<Mutex<Option<Arc<Wakeup>>>>,
    /// Whether `wake` was called since the last wait.
    is_woken: AtomicBool,
}

impl RubyUpstreams {
    pub fn new() -> Self {
        let this = Self::default();
        let wakeup = Arc::clone(&this.wakeup);
        this.upstreams.set_wake(move || wake(&wakeup));
        this
    }

    /// `upstream_events(seconds)`: waits for events, for at most so many seconds (nil: no limit), without the GVL. Only one
    /// Ruby thread may call this. Returns an Array of events, empty if the time is over or `wake_upstreams` was called:
    ///
    /// * `[:start, name]`: clients wait, and no server is up. Answered by `upstream_started`.
    /// * `[:stop, name]`: no connection was there for `:idle` seconds. Answered by `upstream_stopped`.
    /// * `[:reached, name]`: a client has reached a server, the first one since `:stop`; only for an upstream with `:stop`, and
    ///   only with `share_upstream_checks(true)`, as the next ones.
    /// * `[:check, name, server, is_up, weight, reason]`: checks have found a server up or down, or have given it another
    ///   weight (nil: that of the config).
    /// * `[:addresses, name, declared, ["IP:PORT", …]]`: a lookup has found other addresses of a declared server.
    pub fn events(&self, ruby: &Ruby, limit: Option<f64>) -> Result<RArray, Error> {
        let end = limit
            .and_then(|limit| Duration::try_from_secs_f64(limit).ok())
            .and_then(|limit| Instant::now().checked_add(limit));
        loop {
            // The waiting thread handles no signals, as the pool threads.
            let wakeup = Arc::new(Wakeup::for_pool_thread());
            // Whatever happens from here on wakes this thread; the look finds what happened before.
            *lock(&self.wakeup) = Some(Arc::clone(&wakeup));
            let (events, next) = self.upstreams.events();
            let rest = end.map(|end| end.saturating_duration_since(Instant::now()));
            let is_over = self.is_woken.swap(false, SeqCst) || rest.is_some_and(|rest| rest.is_zero());
            if is_over || !events.is_empty() {
                let array = ruby.ary_new();
                for event in events {
                    array.push(event_value(ruby, event))?;
                }
                return Ok(array);
            }
            wakeup.wait(next.into_iter().chain(rest).min())?;
        }
    }

    /// `wake_upstreams`: ends the wait of `upstream_events`.
    pub fn wake(&self) {
        self.is_woken.store(true, SeqCst);
        wake(&self.wakeup);
    }

    /// `set_upstream_servers(name, [[text, weight], …])`: replaces the servers. Returns false if there is no such upstream.
    pub fn set_servers(ruby: &Ruby, upstreams: &Upstreams, name: &str, list: RArray) -> Result<bool, Error> {
        Ok(upstreams.set_servers(name, servers(ruby, list)?))
    }

    /// `set_server_check(name, server, result, reason)`: the result of a check that was made in Ruby: true, false, or a weight.
    pub fn set_check(upstreams: &Upstreams, name: &str, server: &str, result: Value, reason: Option<String>) {
        let weight = weight(result);
        let reason = reason.unwrap_or_else(|| "the check says so".into());
        upstreams.set_check(name, server, result.to_bool(), weight, &reason);
    }
}

fn wake(waiting: &Mutex<Option<Arc<Wakeup>>>) {
    if let Some(wakeup) = &*lock(waiting) {
        wakeup.wake();
    }
}

/// Returns the weight that the result of a check stands for, which is at least 0.
fn weight(result: Value) -> Option<u32> {
    let number = Integer::from_value(result)?;
    // A larger number than any weight is the largest one.
    Some(number.to_i64().map_or(u32::from(u16::MAX), |number| number.clamp(0, u16::MAX.into()) as u32))
}

fn event_value(ruby: &Ruby, event: Event) -> Value {
    let symbol = |name: &str| ruby.to_symbol(name);
    match event {
        Event::Start { upstream } => (symbol("start"), &*upstream).into_value_with(ruby),
        Event::Stop { upstream } => (symbol("stop"), &*upstream).into_value_with(ruby),
        Event::Reached { upstream } => (symbol("reached"), &*upstream).into_value_with(ruby),
        Event::Checked { upstream, server, is_up, weight, reason } => {
            (symbol("check"), &*upstream, server.as_str(), is_up, weight, reason).into_value_with(ruby)
        }
        Event::Resolved { upstream, name, addresses } => {
            let addresses = ruby.ary_from_iter(addresses.iter().map(ToString::to_string));
            (symbol("addresses"), &*upstream, name.as_str(), addresses).into_value_with(ruby)
        }
    }
}

/// Returns addresses from their texts; texts that are none are left out.
pub fn addresses(list: Vec<String>) -> Vec<SocketAddr> {
    list.iter().filter_map(|text| text.parse().ok()).collect()
}

/// Reads the upstreams of the settings, which Ruby has checked.
pub fn definitions(ruby: &Ruby, settings: RHash) -> Result<Vec<Definition>, Error> {
    let Some(list) = value::<RArray>(settings, "upstreams")? else { return Ok(Vec::new()) };
    (0..list.len()).map(|index| definition(ruby, list.entry(index as isize)?)).collect()
}

fn definition(ruby: &Ruby, given: RHash) -> Result<Definition, Error> {
    let default = Options::default();
    let number = |key| value::<u32>(given, key);
    let flag = |key| Ok::<bool, Error>(value::<Value>(given, key)?.is_some_and(|flag| flag.to_bool()));
    let options = Options {
        balance: match value::<String>(given, "balance")?.as_deref() {
            Some("ordered") => Balance::Ordered,
            _ => Balance::Least,
        },
        weights: value::<HashMap<String, u32>>(given, "weights")?.unwrap_or_default(),
        max_connections: number("max_connections")?,
        queue_timeout: seconds(given, "queue_timeout")?.unwrap_or(default.queue_timeout),
        max_queue: value(given, "max_queue")?.unwrap_or(default.max_queue),
        check: seconds(given, "check")?,
        is_checked_outside: flag("checked_by_ruby")?,
        check_timeout: seconds(given, "check_timeout")?.unwrap_or(default.check_timeout),
        rise: number("rise")?.unwrap_or(default.rise),
        fall: number("fall")?.unwrap_or(default.fall),
        closes_on_down: flag("close_on_down")?,
        resolve: seconds(given, "resolve")?,
        tls: match value::<Value>(given, "remote_tls")? {
            None => None,
            Some(tls) => remote_tls(tls)
                .map_err(|expected| error::new(ruby, "ConfigError", format!(":remote_tls is {expected}")))?,
        },
        proxy_protocol: match number("proxy_protocol")? {
            Some(1) => Some(Version::One),
            Some(2) => Some(Version::Two),
            _ => None,
        },
        connect_timeout: seconds(given, "connect_timeout")?,
        hold: seconds(given, "hold")?.filter(|hold| !hold.is_zero()),
        can_start: flag("starts")?,
        can_stop: flag("stops")?,
        idle: seconds(given, "idle")?,
    };
    let list: RArray = value(given, "servers")?.unwrap_or_else(|| ruby.ary_new());
    Ok(Definition { name: value(given, "name")?.unwrap_or_default(), servers: servers(ruby, list)?, options })
}

/// Reads a list of servers and weights.
fn servers(ruby: &Ruby, list: RArray) -> Result<Vec<(Remote, u32)>, Error> {
    let invalid = |text: &str, reason: InvalidRemote| {
        error::new(ruby, "ConfigError", format!("invalid server {text}: {reason}"))
    };
    let server = |index: usize| {
        let (text, weight): (String, u32) = TryConvert::try_convert(list.entry::<Value>(index as isize)?)?;
        Ok((text.parse::<Remote>().map_err(|reason| invalid(&text, reason))?, weight))
    };
    (0..list.len()).map(server).collect()
}

/// Returns all upstreams for the admin address.
pub fn snapshot(upstreams: &Upstreams) -> Vec<UpstreamStats> {
    let server = |server: &ServerStatus| ServerStats {
        server: server.server.to_string(),
        state: server.state().into(),
        since: since_epoch(server.since),
        reason: server.reason.as_deref().map(printable),
        weight: server.weight.into(),
        connections: server.connections.into(),
        failures: server.failures,
        last_check: server.last_check.map(since_epoch),
    };
    let upstream = |upstream: UpstreamStatus| UpstreamStats {
        servers: upstream.servers.iter().map(server).collect(),
        name: upstream.name,
        phase: upstream.phase.into(),
        connections: upstream.connections,
        queue: upstream.queue as u64,
        held: upstream.held as u64,
    };
    upstreams.status().into_iter().map(upstream).collect()
}

/// `upstreams`: all upstreams of the running configuration and the states of their servers, as an Array of Hashes.
pub fn status(ruby: &Ruby, upstreams: &Upstreams) -> Result<RArray, Error> {
    let all = upstreams.status();
    let array = ruby.ary_new();
    for upstream in &all {
        array.push(upstream_status(ruby, upstream)?)?;
    }
    Ok(array)
}

fn upstream_status(ruby: &Ruby, upstream: &UpstreamStatus) -> Result<RHash, Error> {
    let hash = ruby.hash_new();
    let servers = ruby.ary_new();
    for server in &upstream.servers {
        servers.push(server_status(ruby, server)?)?;
    }
    hash.aset(ruby.to_symbol("name"), upstream.name.as_str())?;
    hash.aset(ruby.to_symbol("queue"), upstream.queue)?;
    hash.aset(ruby.to_symbol("held"), upstream.held)?;
    hash.aset(ruby.to_symbol("connections"), upstream.connections)?;
    hash.aset(ruby.to_symbol("idle"), upstream.idle.map(|idle| idle.as_secs_f64()))?;
    hash.aset(ruby.to_symbol("was_reached"), upstream.was_reached)?;
    hash.aset(ruby.to_symbol("phase"), upstream.phase)?;
    hash.aset(ruby.to_symbol("servers"), servers)?;
    Ok(hash)
}

fn server_status(ruby: &Ruby, server: &ServerStatus) -> Result<RHash, Error> {
    let hash = ruby.hash_new();
    hash.aset(ruby.to_symbol("server"), server.server.as_str())?;
    hash.aset(ruby.to_symbol("state"), server.state())?;
    hash.aset(ruby.to_symbol("since"), since_epoch(server.since))?;
    hash.aset(ruby.to_symbol("weight"), server.weight)?;
    hash.aset(ruby.to_symbol("checked_weight"), server.checked_weight)?;
    hash.aset(ruby.to_symbol("connections"), server.connections)?;
    hash.aset(ruby.to_symbol("failures"), server.failures)?;
    hash.aset(ruby.to_symbol("last_check"), server.last_check.map(since_epoch))?;
    hash.aset(ruby.to_symbol("check_result"), server.check)?;
    hash.aset(ruby.to_symbol("reason"), server.reason.as_deref())?;
    Ok(hash)
}

/// Returns a time in seconds since 1970.
pub fn since_epoch(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
