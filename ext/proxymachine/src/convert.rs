//! Converts listeners and settings, which Ruby has checked, into values of the engine.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use magnus::{Error, RArray, RHash, Ruby, TryConvert, Value};
use proxymachine_engine::{Config, Listener, Networks, SourceLimits, listener};

use crate::{error, gvl, tls};

/// Returns listeners for inherited sockets.
pub fn inherit(ruby: &Ruby, inherited: &[(i32, String)]) -> Result<Vec<Listener>, Error> {
    let open = inherited.iter().map(|(fd, address)| {
        Listener::inherited(*fd, address).map_err(|error| {
            error::new(ruby, "StartError", format!("cannot inherit {address} as descriptor {fd}: {error}"))
        })
    });
    open.collect()
}

/// A listening socket for Ruby: `[descriptor, address, port]`. The port is nil for a Unix socket.
pub type SocketTriple = (i32, String, Option<u16>);

/// Returns a listening socket for Ruby.
pub fn describe(listener: &Listener) -> SocketTriple {
    (listener.fd(), listener.endpoint().address().to_owned(), listener.port())
}

/// Opens the configured listeners. Sockets that listen already are taken from `open`; the others of `open` are returned
/// second. Names are looked up and sockets are bound without the GVL.
pub fn open_all(
    ruby: &Ruby,
    configured: RArray,
    config: &Config,
    mut open: Vec<Listener>,
) -> Result<(Vec<Listener>, Vec<Listener>), Error> {
    let entry = |index: usize| -> Result<RHash, Error> { configured.entry(index as isize) };
    let address = |index| Ok(value(entry(index)?, "address")?.unwrap_or_default());
    let addresses = (0..configured.len()).map(address).collect::<Result<Vec<String>, Error>>()?;
    let mut wanted = Vec::with_capacity(addresses.len());
    for (index, address) in addresses.iter().enumerate() {
        let mut options = options(ruby, entry(index)?)?;
        options.only_v6 = must_be_v6_only(address, &addresses);
        (options.keepalive, options.user_timeout) = (config.keepalive, config.user_timeout);
        wanted.push((address.clone(), options));
    }
    let open_wanted = move || {
        let mut listeners = Vec::new();
        for (address, options) in wanted {
            listeners.extend(Listener::open(&address, &options, &mut open)?);
        }
        Ok((listeners, open))
    };
    gvl::without_holding_up(ruby, open_wanted)?.map_err(|error| error::start(ruby, &error))
}

/// Returns whether an address needs IPV6_V6ONLY: `[::]:80` accepts IPv4, too, and so would conflict with
/// `0.0.0.0:80`.
fn must_be_v6_only(address: &str, all: &[String]) -> bool {
    let parse = |address: &str| -> Option<(IpAddr, u16)> {
        let (host, port) = address.rsplit_once(':')?;
        Some((host.trim_matches(['[', ']']).parse().ok()?, port.parse().ok()?))
    };
    let Some((IpAddr::V6(Ipv6Addr::UNSPECIFIED), port @ 1..)) = parse(address) else { return false };
    all.iter().any(|other| matches!(parse(other), Some((IpAddr::V4(_), other)) if other == port))
}

/// Returns the engine's configuration.
pub fn read_config(ruby: &Ruby, settings: RHash) -> Result<Config, Error> {
    let default = Config::default();
    let exempt = networks(ruby, value(settings, "exempt_sources")?)?;
    Ok(Config {
        max_connections: value(settings, "max_connections")?.unwrap_or(default.max_connections),
        source_limits: SourceLimits {
            connections: value(settings, "max_connections_per_source")?,
            rate: value(settings, "connection_rate_per_source")?,
            exempt: exempt.unwrap_or_default(),
        },
        max_preread: value(settings, "max_preread")?.unwrap_or(default.max_preread),
        decision_timeout: seconds(settings, "decision_timeout")?,
        half_closed_timeout: seconds(settings, "half_closed_timeout")?,
        idle_timeout: seconds(settings, "idle_timeout")?,
        keepalive: seconds(settings, "keepalive")?,
        user_timeout: seconds(settings, "user_timeout")?,
        tls_handshake_timeout: seconds(settings, "tls_handshake_timeout")?,
        dontlognull: value(settings, "dontlognull")?.unwrap_or(default.dontlognull),
        ..default
    })
}

/// Returns the options of a listener.
fn options(ruby: &Ruby, listener: RHash) -> Result<listener::Options, Error> {
    let trusted_proxies = networks(ruby, value(listener, "trusted_proxies")?)?;
    Ok(listener::Options {
        name: value::<String>(listener, "name")?.map(Into::into),
        trusted_proxies,
        certificates: value::<Value>(listener, "tls")?.and_then(tls::certificates),
        mode: value(listener, "mode")?,
        owner: (value(listener, "user")?, value(listener, "group")?),
        ..Default::default() // open_all sets the rest.
    })
}

/// Returns networks that are given as texts.
fn networks(ruby: &Ruby, texts: Option<Vec<String>>) -> Result<Option<Networks>, Error> {
    let parse = |texts: Vec<String>| Networks::parse(texts.iter().map(String::as_str));
    texts.map(parse).transpose().map_err(|error| error::new(ruby, "ConfigError", error.to_string()))
}

/// Returns the value of a Symbol in a Hash.
pub fn value<T: TryConvert>(hash: RHash, key: &str) -> Result<Option<T>, Error> {
    hash.lookup(Ruby::get_with(hash).to_symbol(key))
}

/// Returns a number of seconds; None for nil, which means "no limit".
pub fn seconds(hash: RHash, key: &str) -> Result<Option<Duration>, Error> {
    let seconds: Option<f64> = value(hash, key)?;
    Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)))
}
