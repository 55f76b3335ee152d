//! A block's answer becomes a verdict.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use magnus::r_hash::ForEach;
use magnus::rb_sys::AsRawValue;
use magnus::value::{Qtrue, ReprValue};
use magnus::{Error, Integer, RArray, RHash, RString, Ruby, StaticSymbol, Symbol, TryConvert, Value};
use proxymachine_engine::proxy_protocol::Version;
use proxymachine_engine::{InvalidRemote, Remote, Route, Verdict};

use crate::gvl::hash_values;
use crate::queue::Block;

/// Why an answer is none.
pub enum Refusal {
    /// It is nothing that an answer can be.
    Invalid,
    /// It names a remote that is none.
    Remote(Value, String),
    /// The value of a key is none, and what is expected of it.
    Key(&'static str, Value, &'static str),
    /// It raised when it was looked at.
    Raised(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Raised(error)
    }
}

/// Reads answers. The symbols are looked up once.
pub struct Reader {
    keys: [StaticSymbol; 7],
    rare: [StaticSymbol; 4],
    /// Remotes that were named before: mostly it is the same few.
    remotes: RefCell<HashMap<Bytes, Remote>>,
    /// Whether the last route had more keys than these.
    has_unknown: Cell<bool>,
}

/// The keys of an answer, in the order of `Reader::keys`.
const KEYS: [&str; 7] = ["remote", "close", "noop", "data", "reply", "connect_timeout", "inactivity_timeout"];

/// What is expected of a time.
const SECONDS: &str = "a number of seconds";

/// The keys that are looked at only if there is more than the above.
const RARE: [&str; 4] = ["retries", "retry_delay", "local_host", "proxy_protocol"];

impl Reader {
    pub fn new(ruby: &Ruby) -> Self {
        Self {
            keys: KEYS.map(|name| ruby.sym_new(name)),
            rare: RARE.map(|name| ruby.sym_new(name)),
            remotes: RefCell::default(),
            has_unknown: Cell::new(false),
        }
    }

    /// A Hash, or one of the short forms of 0.1.x: `"host:port"`, `:noop`, `:close`.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn read(&self, answer: Value, block: Block) -> Result<Verdict, Refusal> {
        let [_, close, noop, ..] = self.keys;
        if let Some(hash) = RHash::from_value(answer) {
            self.read_hash(hash, block)
        } else if RString::from_value(answer).is_some() {
            Ok(Verdict::connect(self.read_remote(answer)?))
        } else if is(answer, noop) {
            Ok(Verdict::Wait(None))
        } else if is(answer, close) {
            Ok(Verdict::Close(None))
        } else {
            Err(Refusal::Invalid)
        }
    }

    /// A key of the route that was read last from `answer`, if it is none that means anything.
    pub fn unknown_key(&self, answer: Value) -> Option<Value> {
        let hash = if self.has_unknown.take() { RHash::from_value(answer)? } else { return None };
        let mut unknown = None;
        let find = |key: Value, _: Value| {
            let is_known = self.keys.iter().chain(&self.rare).any(|known| is(key, *known));
            unknown = if is_known { None } else { Some(key) };
            Ok(if is_known { ForEach::Continue } else { ForEach::Stop })
        };
        hash.foreach(find).ok().and(unknown)
    }

    /// What a callback returned: only a Hash that says where to go, or what to say, means something.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn read_consulted(&self, answer: Value) -> Result<Option<Verdict>, Refusal> {
        let Some(hash) = RHash::from_value(answer) else { return Ok(None) };
        Ok(match self.read_hash(hash, Block::Proxy)? {
            Verdict::Wait(_) | Verdict::Close(None) => None,
            verdict => Some(verdict),
        })
    }

    fn read_hash(&self, answer: RHash, block: Block) -> Result<Verdict, Refusal> {
        let values = values(answer, self.keys)?;
        let [remote, close, noop, data, reply, connect_timeout, inactivity_timeout] = values;

        if remote.to_bool() {
            let mut route = self.read_remotes(remote)?;
            route.data = bytes(data)?;
            route.reply = bytes(reply)?;
            if let Some(timeout) = seconds("connect_timeout", connect_timeout)? {
                route.connect_timeout = timeout;
            }
            route.inactivity_timeout = seconds("inactivity_timeout", inactivity_timeout)?;
            let known = values.iter().filter(|value| !value.is_nil()).count();
            self.has_unknown
                .set(answer.len() > known && answer.len() > known + self.read_rare(answer, &mut route)?);
            return Ok(Verdict::Connect(Box::new(route)));
        }
        if close.to_bool() {
            let words = if Qtrue::from_value(close).is_some() { None } else { bytes(close)? };
            return Ok(Verdict::Close(words));
        }
        if !noop.to_bool() {
            return Ok(Verdict::Close(None));
        }
        // Beside a :noop of a proxy block, 1.2.4 ignored the :reply.
        let greeting = if block == Block::Proxy { None } else { bytes(reply)? };
        let words = if RString::from_value(noop).is_some() { bytes(noop)? } else { greeting };
        Ok(Verdict::Wait(words))
    }

    /// Returns how many of these keys there are.
    fn read_rare(&self, answer: RHash, route: &mut Route) -> Result<usize, Refusal> {
        let values = values(answer, self.rare)?;
        let [retries, retry_delay, local_host, proxy_protocol] = values;
        if !retries.is_nil() {
            let count = Integer::from_value(retries).and_then(|count| count.to_u32().ok());
            route.retries = Some(count.ok_or(Refusal::Key("retries", retries, "a whole number from 0"))?);
        }
        if !retry_delay.is_nil() {
            let seconds =
                f64::try_convert(retry_delay).ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
            route.retry_delay = Some(seconds.ok_or(Refusal::Key("retry_delay", retry_delay, SECONDS))?);
        }
        if !local_host.is_nil() {
            let address = RString::from_value(local_host).and_then(|text| parse_local(&text.to_bytes()));
            let expected = "an IP address, perhaps with a port";
            let address = address.ok_or(Refusal::Key("local_host", local_host, expected))?;
            let is_other =
                |remote: &Remote| remote.literal().is_some_and(|to| to.is_ipv4() != address.is_ipv4());
            if route.remotes().any(is_other) {
                return Err(Refusal::Key("local_host", local_host, "an address of the remote's family"));
            }
            route.local = Some(address);
        }
        if proxy_protocol.to_bool() {
            route.proxy_protocol = match Integer::from_value(proxy_protocol).and_then(|v| v.to_u32().ok()) {
                Some(1) => Some(Version::One),
                Some(2) => Some(Version::Two),
                _ => return Err(Refusal::Key("proxy_protocol", proxy_protocol, "1 or 2")),
            };
        }
        Ok(values.iter().filter(|value| !value.is_nil()).count())
    }

    /// One remote, or several that are tried in turn.
    fn read_remotes(&self, value: Value) -> Result<Route, Refusal> {
        let Some(list) = RArray::from_value(value) else { return Ok(Route::new(self.read_remote(value)?)) };
        if list.len() > MAX_REMOTES {
            return Err(Refusal::Remote(value, format!("it lists more than {MAX_REMOTES}")));
        }
        let mut remotes = Vec::with_capacity(list.len());
        for index in 0..list.len() {
            let parsed = self.read_remote(list.entry(index as isize)?);
            remotes.push(parsed.map_err(|refusal| match refusal {
                Refusal::Remote(_, reason) => {
                    Refusal::Remote(value, format!("number {} of it: {reason}", index + 1))
                }
                other => other,
            })?);
        }
        let mut remotes = remotes.into_iter();
        let Some(first) = remotes.next() else {
            return Err(Refusal::Remote(value, "it lists none".into()));
        };
        let mut route = Route::new(first);
        route.others = remotes.collect();
        Ok(route)
    }

    /// `"host:port"` as a String or a Symbol.
    fn read_remote(&self, value: Value) -> Result<Remote, Refusal> {
        let text = if let Some(string) = RString::from_value(value) {
            string
        } else if let Some(symbol) = Symbol::from_value(value) {
            symbol.funcall("to_s", ())?
        } else {
            return Err(Refusal::Remote(value, "it is no String".into()));
        };
        let text = text.to_bytes();
        let mut known = self.remotes.borrow_mut();
        if let Some(remote) = known.get(&text) {
            return Ok(remote.clone());
        }
        let parsed = std::str::from_utf8(&text).map_err(|_| InvalidRemote::BadHost).and_then(str::parse);
        let remote: Remote = parsed.map_err(|reason| Refusal::Remote(value, reason.to_string()))?;
        if text.len() <= LONGEST_KNOWN {
            if known.len() >= MOST_KNOWN {
                known.clear();
            }
            known.insert(text, remote.clone());
        }
        Ok(remote)
    }
}

/// The values of some keys, nil where there is none.
fn values<const N: usize>(answer: RHash, keys: [StaticSymbol; N]) -> Result<[Value; N], Error> {
    // A plain Hash is read without a method call; a subclass may have its own idea of [].
    if answer.class().as_raw() == Ruby::get_with(answer).class_hash().as_raw() {
        return hash_values(answer, keys);
    }
    let mut values = [Ruby::get_with(answer).qnil().as_value(); N];
    for (value, key) in values.iter_mut().zip(keys) {
        *value = answer.funcall("[]", (key,))?;
    }
    Ok(values)
}

/// Remotes in one answer. More is a mistake that would be tried for hours.
const MAX_REMOTES: usize = 1000;

/// Remotes that are remembered.
const MOST_KNOWN: usize = 1000;

/// What may be remembered of a client's making: the longest name (RFC 1035, section 2.3.4) and a port.
const LONGEST_KNOWN: usize = 255 + ":65535".len();

/// `1.2.3.4`, `1.2.3.4:5`, `::1` or `[::1]:5`.
fn parse_local(text: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let ip: Result<IpAddr, _> =
        text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text).parse();
    ip.map(|ip| SocketAddr::new(ip, 0)).or_else(|_| text.parse()).ok()
}

fn is(answer: Value, symbol: StaticSymbol) -> bool {
    answer.as_raw() == symbol.as_raw()
}

/// The bytes of a String, of any encoding, or of what another object calls itself; nil and false are none.
fn bytes(value: Value) -> Result<Option<Bytes>, Error> {
    if !value.to_bool() {
        return Ok(None);
    }
    let string = match RString::from_value(value) {
        Some(string) => string,
        None => value.funcall("to_s", ())?,
    };
    Ok(Some(string.to_bytes()))
}

/// A number of seconds, or what says that it is one; what is not above zero means "not given", as in
/// EventMachine.
fn seconds(key: &'static str, value: Value) -> Result<Option<Duration>, Refusal> {
    if !value.to_bool() {
        return Ok(None);
    }
    if !value.respond_to("to_f", false)? {
        return Err(Refusal::Key(key, value, SECONDS));
    }
    let seconds: f64 = value.funcall("to_f", ())?;
    let limit = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    Ok((seconds > 0.0).then_some(limit))
}
