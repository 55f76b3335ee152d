//! Converts the answer of a block into a verdict.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use magnus::r_hash::ForEach;
use magnus::rb_sys::AsRawValue;
use magnus::value::{Qtrue, ReprValue};
use magnus::{Error, Integer, RArray, RClass, RHash, RString, Ruby, StaticSymbol, Symbol, TryConvert, Value};
use proxymachine_engine::limits::{KeyLimit, KeyLimits, LimitKey};
use proxymachine_engine::net::zone::parse_socket_addr;
use proxymachine_engine::proxy_protocol::Version;
use proxymachine_engine::upstream::{Key, Upstreams};
use proxymachine_engine::{InvalidRemote, Remote, Route, RouterFault, StartTls, Target, Verdict};

use crate::event::Block;
use crate::gvl::hash_values;
use crate::tls;

/// Why an answer is invalid.
pub enum AnswerError {
    /// The answer is no Hash and none of the short forms.
    Invalid,
    /// A remote is invalid: the remote, and the reason.
    Remote(Value, String),
    /// The value of a key is invalid: the key, its value, and the expected value.
    Value(&'static str, Value, &'static str),
    /// A method of the answer raised.
    Raised(Error),
}

impl From<Error> for AnswerError {
    fn from(error: Error) -> Self {
        Self::Raised(error)
    }
}

/// Reads answers. The symbols are looked up once.
pub struct AnswerReader {
    keys: [StaticSymbol; 7],
    rare_keys: [StaticSymbol; 9],
    /// The upstreams that Symbols may name.
    upstreams: Arc<Upstreams>,
    /// Parsed remotes, by their text: most configs have few.
    remote_cache: RefCell<HashMap<Bytes, Remote>>,
    /// Whether the last answer had a key beside the known ones.
    has_unknown_key: Cell<bool>,
}

/// The keys of an answer, in the order of `AnswerReader::keys`.
const KEYS: [&str; 7] = ["remote", "close", "noop", "data", "reply", "connect_timeout", "inactivity_timeout"];

/// Expected value of a key for a time.
const SECONDS: &str = "a number of seconds";

/// The keys that are looked up only if the answer has more keys than those in `KEYS`.
const RARE_KEYS: [&str; 9] =
    ["tls", "remote_tls", "retries", "retry_delay", "local_host", "proxy_protocol", "key", "limit", "over"];

impl AnswerReader {
    pub fn new(ruby: &Ruby, upstreams: &Arc<Upstreams>) -> Self {
        Self {
            upstreams: Arc::clone(upstreams),
            keys: KEYS.map(|name| ruby.sym_new(name)),
            rare_keys: RARE_KEYS.map(|name| ruby.sym_new(name)),
            remote_cache: RefCell::default(),
            has_unknown_key: Cell::new(false),
        }
    }

    /// Reads the answer of a block: a Hash, the name of an upstream, or one of the short forms of 0.1.x, `"host:port"`,
    /// `:noop`, `:close`.
    ///
    /// # Errors
    /// Returns an error if the answer is invalid.
    pub fn read(&self, answer: Value, block: Block) -> Result<Verdict, AnswerError> {
        let [_, close, noop, ..] = self.keys;
        if let Some(hash) = RHash::from_value(answer) {
            self.read_hash(hash, block)
        } else if RString::from_value(answer).is_some() {
            Ok(Verdict::connect(self.read_remote(answer)?))
        } else if is(answer, noop) {
            Ok(Verdict::Wait(None))
        } else if is(answer, close) {
            Ok(Verdict::Close(None))
        } else if let Some(upstream) = self.find_upstream(answer)? {
            Ok(Verdict::Connect(Box::new(Route::to(upstream))))
        } else if Symbol::from_value(answer).is_some() {
            Err(AnswerError::Remote(answer, format!("{UNDECLARED}, and it is neither :noop nor :close")))
        } else {
            Err(AnswerError::Invalid)
        }
    }

    /// Returns why `answer` is invalid, which ends TLS a second time.
    pub fn second_tls(&self, answer: Value) -> AnswerError {
        self.needless_tls(answer, "an answer without it, since TLS has ended here already")
    }

    fn needless_tls(&self, answer: Value, expected: &'static str) -> AnswerError {
        let value = RHash::from_value(answer).and_then(|hash| hash.get(self.rare_keys[0])).unwrap_or(answer);
        AnswerError::Value("tls", value, expected)
    }

    /// Returns the unknown keys of the answer that was read last.
    pub fn unknown_keys(&self, answer: Value) -> Vec<Value> {
        let mut unknown = Vec::new();
        if let Some(hash) = RHash::from_value(answer).filter(|_| self.has_unknown_key.take()) {
            // A Hash that may not be iterated here has no keys to show.
            let _ = hash.foreach(|key: Value, _: Value| {
                if !self.keys.iter().chain(&self.rare_keys).any(|known| is(key, *known)) {
                    unknown.push(key);
                }
                Ok(if unknown.len() < MAX_SHOWN_KEYS { ForEach::Continue } else { ForEach::Stop })
            });
        }
        unknown
    }

    /// Reads the return value of a callback. Only a Hash with a remote, or with a text to close with, means
    /// something.
    ///
    /// # Errors
    /// Returns an error if the answer is invalid.
    pub fn read_callback(&self, answer: Value) -> Result<Option<Verdict>, AnswerError> {
        let Some(hash) = RHash::from_value(answer) else { return Ok(None) };
        Ok(match self.read_hash(hash, Block::Proxy)? {
            Verdict::Tls(_) => {
                return Err(self.needless_tls(answer, "a block that decides: a callback cannot end TLS"));
            }
            Verdict::Wait(_) | Verdict::Close(None) | Verdict::Fault(_) => None,
            verdict => Some(verdict),
        })
    }

    fn read_hash(&self, answer: RHash, block: Block) -> Result<Verdict, AnswerError> {
        let values = values(answer, self.keys)?;
        let [remote, close, noop, data, reply, connect_timeout, inactivity_timeout] = values;
        let known = values.iter().filter(|value| !value.is_nil()).count();
        // A known key whose value is nil counts as unknown here; unknown_keys() looks closer.
        self.has_unknown_key.set(answer.len() > known);

        let rare = if answer.len() > known { Some(self::values(answer, self.rare_keys)?) } else { None };
        if let Some(rare) = &rare {
            let known_rare = rare.iter().filter(|value| !value.is_nil()).count();
            self.has_unknown_key.set(answer.len() > known + known_rare);
            let tls = rare[0];
            if tls.to_bool() {
                if remote.to_bool() || close.to_bool() {
                    return Err(AnswerError::Value("tls", tls, "an answer without :remote and :close"));
                }
                return Ok(Verdict::Tls(Box::new(read_tls(tls, noop, reply, data)?)));
            }
        }
        if remote.to_bool() {
            let mut route = self.read_remotes(remote)?;
            route.data = bytes(data)?;
            route.reply = bytes(reply)?;
            if let Some(timeout) = seconds("connect_timeout", connect_timeout)? {
                route.connect_timeout = Some(timeout);
            }
            route.inactivity_timeout = seconds("inactivity_timeout", inactivity_timeout)?;
            if let Some(rare) = rare {
                read_rare_keys(rare, &mut route)?;
            }
            return Ok(Verdict::Connect(Box::new(route)));
        }
        if close.to_bool() {
            let text = if Qtrue::from_value(close).is_some() { None } else { bytes(close)? };
            return Ok(Verdict::Close(text));
        }
        if !noop.to_bool() {
            return Ok(Verdict::Fault(RouterFault::InvalidAnswer));
        }
        // 1.2.4 ignored a :reply beside the :noop of a proxy block.
        let reply_text = if block == Block::Proxy { None } else { bytes(reply)? };
        let text = if RString::from_value(noop).is_some() { bytes(noop)? } else { reply_text };
        Ok(Verdict::Wait(text))
    }

    /// Reads one remote, or an Array of remotes that are tried in turn.
    fn read_remotes(&self, value: Value) -> Result<Route, AnswerError> {
        let Some(list) = RArray::from_value(value) else { return Ok(Route::to(self.read_target(value)?)) };
        if list.len() > MAX_REMOTES {
            return Err(AnswerError::Remote(value, format!("it lists more than {MAX_REMOTES}")));
        }
        let mut remotes = Vec::with_capacity(list.len());
        for index in 0..list.len() {
            let parsed = self.read_target(list.entry(index as isize)?);
            remotes.push(parsed.map_err(|error| match error {
                AnswerError::Remote(_, reason) => {
                    AnswerError::Remote(value, format!("number {} of it: {reason}", index + 1))
                }
                other => other,
            })?);
        }
        let mut remotes = remotes.into_iter();
        let Some(first) = remotes.next() else {
            return Err(AnswerError::Remote(value, "it lists none".into()));
        };
        let mut route = Route::to(first);
        route.others = remotes.collect();
        Ok(route)
    }

    /// Reads a remote, or the name of an upstream.
    fn read_target(&self, value: Value) -> Result<Target, AnswerError> {
        if let Some(upstream) = self.find_upstream(value)? {
            return Ok(upstream);
        }
        match self.read_remote(value) {
            Err(AnswerError::Remote(value, reason)) if Symbol::from_value(value).is_some() => {
                Err(AnswerError::Remote(value, format!("{reason}; {UNDECLARED}")))
            }
            read => read.map(Target::Backend),
        }
    }

    /// Returns the upstream that a Symbol names.
    fn find_upstream(&self, value: Value) -> Result<Option<Target>, AnswerError> {
        // A Symbol that stands in the config needs no method call.
        let upstream = if let Some(symbol) = StaticSymbol::from_value(value) {
            symbol.name().ok().and_then(|name| self.upstreams.get(name))
        } else if let Some(symbol) = Symbol::from_value(value) {
            let name: RString = symbol.funcall("to_s", ())?;
            std::str::from_utf8(&name.to_bytes()).ok().and_then(|name| self.upstreams.get(name))
        } else {
            None
        };
        Ok(upstream.map(Target::Upstream))
    }

    /// Reads a remote: `"host:port"` as a String or a Symbol.
    fn read_remote(&self, value: Value) -> Result<Remote, AnswerError> {
        let text = if let Some(string) = RString::from_value(value) {
            string
        } else if let Some(symbol) = Symbol::from_value(value) {
            symbol.funcall("to_s", ())?
        } else {
            return Err(AnswerError::Remote(value, "it is no String".into()));
        };
        let text = text.to_bytes();
        let mut cache = self.remote_cache.borrow_mut();
        if let Some(remote) = cache.get(&text) {
            return Ok(remote.clone());
        }
        let parsed = std::str::from_utf8(&text).map_err(|_| InvalidRemote::BadHost).and_then(str::parse);
        let remote: Remote = parsed.map_err(|reason| AnswerError::Remote(value, reason.to_string()))?;
        if text.len() <= MAX_CACHED_LENGTH {
            if cache.len() >= MAX_CACHED_REMOTES {
                cache.clear();
            }
            cache.insert(text, remote.clone());
        }
        Ok(remote)
    }
}

/// Reads the values of the rare keys into the route.
fn read_rare_keys(values: [Value; 9], route: &mut Route) -> Result<(), AnswerError> {
    let [_, remote_tls, retries, retry_delay, local_host, proxy_protocol, key, limit, over] = values;
    if !retries.is_nil() {
        let count = Integer::from_value(retries).and_then(|count| count.to_u32().ok());
        route.retries = Some(count.ok_or(AnswerError::Value("retries", retries, "a whole number from 0"))?);
    }
    if !retry_delay.is_nil() {
        let seconds = f64::try_convert(retry_delay).ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
        route.retry_delay = Some(seconds.ok_or(AnswerError::Value("retry_delay", retry_delay, SECONDS))?);
    }
    if !local_host.is_nil() {
        let address = RString::from_value(local_host)
            .and_then(|text| parse_socket_addr(std::str::from_utf8(&text.to_bytes()).ok()?));
        let expected = "an IP address, perhaps with a port";
        let address = address.ok_or(AnswerError::Value("local_host", local_host, expected))?;
        let has_other_family =
            |remote: &Remote| remote.literal().is_some_and(|to| to.is_ipv4() != address.is_ipv4());
        if route.targets().filter_map(Target::backend).any(has_other_family) {
            return Err(AnswerError::Value("local_host", local_host, "an address of the remote's family"));
        }
        route.local = Some(address);
    }
    if proxy_protocol.to_bool() {
        route.proxy_protocol = match Integer::from_value(proxy_protocol).and_then(|v| v.to_u32().ok()) {
            Some(1) => Some(Version::One),
            Some(2) => Some(Version::Two),
            _ => return Err(AnswerError::Value("proxy_protocol", proxy_protocol, "1 or 2")),
        };
    }
    if !key.is_nil() {
        route.key = Some(read_key(key)?);
    }
    if !limit.is_nil() {
        route.limit = Some(Box::new(read_limit(limit, over)?));
    }
    route.tls = tls::remote_tls(remote_tls)
        .map_err(|expected| AnswerError::Value("remote_tls", remote_tls, expected))?;
    let has_no_name = route.tls.as_ref().is_some_and(|tls| tls.name().is_none());
    if has_no_name && route.targets().filter_map(Target::backend).any(|remote| remote.unix().is_some()) {
        let expected = "a name to check, which a Unix socket does not have";
        return Err(AnswerError::Value("remote_tls", remote_tls, expected));
    }
    Ok(())
}

/// Reads how TLS begins. A text for the client in `:noop` or `:reply` is sent before.
fn read_tls(tls: Value, noop: Value, reply: Value, data: Value) -> Result<StartTls, AnswerError> {
    let certificates =
        tls::certificates(tls).ok_or(AnswerError::Value("tls", tls, "what certificates(…) returns"))?;
    let reply = if RString::from_value(noop).is_some() { bytes(noop)? } else { bytes(reply)? };
    Ok(StartTls { certificates, reply, data: bytes(data)? })
}

/// Tells whether a value is an instance of the class itself, not of a subclass, and has no methods of its own.
pub fn is_plain(value: impl ReprValue, class: RClass) -> bool {
    value.class().as_raw() == class.as_raw()
}

/// Returns the values of some keys, nil for a missing key.
fn values<const N: usize>(answer: RHash, keys: [StaticSymbol; N]) -> Result<[Value; N], Error> {
    // A plain Hash needs no method call. A subclass may define [] itself.
    if is_plain(answer, Ruby::get_with(answer).class_hash()) {
        return hash_values(answer, keys);
    }
    let mut values = [Ruby::get_with(answer).qnil().as_value(); N];
    for (value, key) in values.iter_mut().zip(keys) {
        *value = answer.funcall("[]", (key,))?;
    }
    Ok(values)
}

/// Reads the key by which an upstream chooses a server: any object, by its `to_s`.
fn read_key(value: Value) -> Result<Key, Error> {
    let text = match RString::from_value(value) {
        Some(string) => string,
        None => value.funcall("to_s", ())?,
    };
    Ok(Key::new(&text.to_bytes()))
}

/// Why a Symbol is no remote.
const UNDECLARED: &str = "no upstream has that name";

/// Unknown keys of one answer that the log names.
const MAX_SHOWN_KEYS: usize = 20;

/// Remotes in one answer. A longer list is a mistake, and connecting to all of it would take hours.
const MAX_REMOTES: usize = 1000;

/// Remotes that the cache holds.
const MAX_CACHED_REMOTES: usize = 1000;

/// Length limit for a cached text, which may come from a client: the longest host name (RFC 1035, section
/// 2.3.4) and a port.
const MAX_CACHED_LENGTH: usize = 255 + ":65535".len();

/// Reads the limits by key of `:limit`, and what `:over` says to a client that is over one of them.
fn read_limit(limit: Value, over: Value) -> Result<KeyLimits, AnswerError> {
    let invalid = || AnswerError::Value("limit", limit, "a Hash of keys and whole numbers above 0");
    let hash = RHash::from_value(limit).ok_or_else(invalid)?;
    let mut limits: Vec<KeyLimit> = Vec::with_capacity(hash.len());
    // Two objects may have the same `to_s`: then the lower limit counts.
    let mut known: HashMap<LimitKey, usize> = HashMap::new();
    let mut is_valid = true;
    hash.foreach(|key: Value, max: Value| {
        let max = Integer::from_value(max).and_then(count);
        is_valid = max.is_some();
        if let Some(max) = max {
            let key = LimitKey::new(&text(key)?.to_bytes());
            match known.entry(key.clone()) {
                Entry::Occupied(index) => {
                    let limit = &mut limits[*index.get()];
                    limit.max = limit.max.min(max);
                }
                Entry::Vacant(place) => {
                    place.insert(limits.len());
                    limits.push(KeyLimit { key, max });
                }
            }
        }
        Ok(if is_valid { ForEach::Continue } else { ForEach::Stop })
    })?;
    if !is_valid {
        return Err(invalid());
    }
    let over = if Qtrue::from_value(over).is_some() { None } else { bytes(over)? };
    Ok(KeyLimits { limits, over: over.unwrap_or_default() })
}

/// Returns an Integer above 0; one that is too large for the engine is the largest.
fn count(number: Integer) -> Option<u32> {
    match number.to_u32() {
        Ok(count) => (count > 0).then_some(count),
        Err(_) => number.to_string().bytes().all(|digit| digit.is_ascii_digit()).then_some(u32::MAX),
    }
}

fn is(answer: Value, symbol: StaticSymbol) -> bool {
    answer.as_raw() == symbol.as_raw()
}

/// Returns the bytes of a String in any encoding, or of the `to_s` of another object; None for nil and false.
fn bytes(value: Value) -> Result<Option<Bytes>, Error> {
    if value.to_bool() { Ok(Some(text(value)?.to_bytes())) } else { Ok(None) }
}

/// Returns a String, or the `to_s` of another object.
fn text(value: Value) -> Result<RString, Error> {
    match RString::from_value(value) {
        Some(string) => Ok(string),
        None => value.funcall("to_s", ()),
    }
}

/// Returns the number of seconds of an object with `to_f`. As in EventMachine, zero and less mean "not
/// given".
fn seconds(key: &'static str, value: Value) -> Result<Option<Duration>, AnswerError> {
    if !value.to_bool() {
        return Ok(None);
    }
    if !value.respond_to("to_f", false)? {
        return Err(AnswerError::Value(key, value, SECONDS));
    }
    let seconds: f64 = value.funcall("to_f", ())?;
    let limit = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    Ok((seconds > 0.0).then_some(limit))
}
