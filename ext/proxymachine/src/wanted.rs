//! What Ruby wants of an engine, which it has checked, as the engine's own values.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use magnus::{Error, RArray, RHash, Ruby, TryConvert};
use proxymachine_engine::{Config, Listener, Networks, listener};

use crate::error;

/// What another process has bound.
pub fn inherit(ruby: &Ruby, inherited: &[(i32, String)]) -> Result<Vec<Listener>, Error> {
    let open = inherited.iter().map(|(fd, address)| {
        Listener::inherited(*fd, address).map_err(|error| {
            error::new(ruby, "StartError", format!("cannot inherit {address} as descriptor {fd}: {error}"))
        })
    });
    open.collect()
}

/// For Ruby: `[descriptor, address, port]`; the port is nil for a Unix socket.
pub type Open = (i32, String, Option<u16>);

/// What Ruby is told of a listener.
pub fn describe(listener: &Listener) -> Open {
    (listener.fd(), listener.endpoint().address().to_owned(), listener.port())
}

/// Opens what is wanted, or takes it from `open`.
pub fn open_all(
    ruby: &Ruby,
    wanted: RArray,
    config: &Config,
    open: &mut Vec<Listener>,
) -> Result<Vec<Listener>, Error> {
    let entry = |index: usize| -> Result<RHash, Error> { wanted.entry(index as isize) };
    let address = |index| Ok(value(entry(index)?, "address")?.unwrap_or_default());
    let addresses = (0..wanted.len()).map(address).collect::<Result<Vec<String>, Error>>()?;
    let mut listeners = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        let mut options = options(ruby, entry(index)?)?;
        options.only_v6 = is_for_v6_alone(address, &addresses);
        (options.keepalive, options.user_timeout) = (config.keepalive, config.user_timeout);
        let opened = Listener::open(address, &options, open);
        listeners.extend(opened.map_err(|e| error::start(ruby, &e))?);
    }
    Ok(listeners)
}

/// By itself `[::]:80` hears IPv4, too; beside `0.0.0.0:80` it must not, or only one of them could listen.
fn is_for_v6_alone(address: &str, all: &[String]) -> bool {
    let place = |address: &str| -> Option<(IpAddr, u16)> {
        let (host, port) = address.rsplit_once(':')?;
        Some((host.trim_matches(['[', ']']).parse().ok()?, port.parse().ok()?))
    };
    let Some((IpAddr::V6(Ipv6Addr::UNSPECIFIED), port @ 1..)) = place(address) else { return false };
    all.iter().any(|other| matches!(place(other), Some((IpAddr::V4(_), other)) if other == port))
}

/// The engine's limits.
pub fn read_config(settings: RHash) -> Result<Config, Error> {
    let default = Config::default();
    Ok(Config {
        max_connections: value(settings, "max_connections")?.unwrap_or(default.max_connections),
        max_preread: value(settings, "max_preread")?.unwrap_or(default.max_preread),
        decision_timeout: seconds(settings, "decision_timeout")?,
        half_closed_timeout: seconds(settings, "half_closed_timeout")?,
        idle_timeout: seconds(settings, "idle_timeout")?,
        keepalive: seconds(settings, "keepalive")?,
        user_timeout: seconds(settings, "user_timeout")?,
        ..default
    })
}

/// How to listen.
fn options(ruby: &Ruby, wanted: RHash) -> Result<listener::Options, Error> {
    let balancers = value::<Vec<String>>(wanted, "balancers")?
        .map(|networks| Networks::parse(networks.iter().map(String::as_str)))
        .transpose()
        .map_err(|error| error::new(ruby, "ConfigError", error.to_string()))?;
    Ok(listener::Options {
        name: value::<String>(wanted, "name")?.map(Into::into),
        balancers,
        mode: value(wanted, "mode")?,
        owner: (value(wanted, "user")?, value(wanted, "group")?),
        ..Default::default() // see open_all
    })
}

/// What a Hash has for a Symbol.
pub fn value<T: TryConvert>(hash: RHash, key: &str) -> Result<Option<T>, Error> {
    hash.lookup(Ruby::get_with(hash).to_symbol(key))
}

/// A number of seconds; nil is "no limit".
pub fn seconds(hash: RHash, key: &str) -> Result<Option<Duration>, Error> {
    let seconds: Option<f64> = value(hash, key)?;
    Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)))
}
