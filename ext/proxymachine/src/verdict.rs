//! A block's answer becomes a verdict.

use std::time::Duration;

use bytes::Bytes;
use magnus::rb_sys::AsRawValue;
use magnus::value::{Qtrue, ReprValue};
use magnus::{Error, RHash, RString, Ruby, StaticSymbol, Symbol, Value};
use proxymachine_engine::{InvalidRemote, Remote, Route, Verdict};

use crate::gvl::hash_values;

/// Why an answer is none.
pub enum Refusal {
    /// It is nothing that an answer can be.
    Invalid,
    /// It names a remote that is none.
    Remote(Value, String),
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
}

/// The keys of an answer, in the order of `Reader::keys`.
const KEYS: [&str; 7] = ["remote", "close", "noop", "data", "reply", "connect_timeout", "inactivity_timeout"];

impl Reader {
    pub fn new(ruby: &Ruby) -> Self {
        Self { keys: KEYS.map(|name| ruby.sym_new(name)) }
    }

    /// A Hash, or one of the short forms of 0.1.x: `"host:port"`, `:noop`, `:close`.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn read(&self, answer: Value) -> Result<Verdict, Refusal> {
        let [_, close, noop, ..] = self.keys;
        if let Some(hash) = RHash::from_value(answer) {
            self.read_hash(hash)
        } else if RString::from_value(answer).is_some() {
            Ok(Verdict::connect(parse_remote(answer)?))
        } else if is(answer, noop) {
            Ok(Verdict::Wait)
        } else if is(answer, close) {
            Ok(Verdict::Close(None))
        } else {
            Err(Refusal::Invalid)
        }
    }

    fn read_hash(&self, answer: RHash) -> Result<Verdict, Refusal> {
        // A plain Hash is read without a method call; a subclass may have its own idea of [].
        let plain = answer.class().as_raw() == Ruby::get_with(answer).class_hash().as_raw();
        let values = if plain { hash_values(answer, self.keys)? } else { self.ask_for_values(answer)? };
        let [remote, close, noop, data, reply, connect_timeout, inactivity_timeout] = values;

        if remote.to_bool() {
            let mut route = Route::new(parse_remote(remote)?);
            route.data = bytes(data)?;
            route.reply = bytes(reply)?;
            if let Some(timeout) = seconds(connect_timeout)? {
                route.connect_timeout = timeout;
            }
            route.inactivity_timeout = seconds(inactivity_timeout)?;
            return Ok(Verdict::Connect(Box::new(route)));
        }
        if close.to_bool() {
            let words = if Qtrue::from_value(close).is_some() { None } else { bytes(close)? };
            return Ok(Verdict::Close(words));
        }
        Ok(if noop.to_bool() { Verdict::Wait } else { Verdict::Close(None) })
    }

    fn ask_for_values(&self, answer: RHash) -> Result<[Value; 7], Error> {
        let mut values = [Ruby::get_with(answer).qnil().as_value(); 7];
        for (value, key) in values.iter_mut().zip(self.keys) {
            *value = answer.funcall("[]", (key,))?;
        }
        Ok(values)
    }
}

fn is(answer: Value, symbol: StaticSymbol) -> bool {
    answer.as_raw() == symbol.as_raw()
}

/// `"host:port"` as a String or a Symbol.
fn parse_remote(value: Value) -> Result<Remote, Refusal> {
    let text = if let Some(string) = RString::from_value(value) {
        string
    } else if let Some(symbol) = Symbol::from_value(value) {
        symbol.funcall("to_s", ())?
    } else {
        return Err(Refusal::Remote(value, "it is no String".into()));
    };
    let text = text.to_bytes();
    let parsed = std::str::from_utf8(&text).map_err(|_| InvalidRemote::BadHost).and_then(str::parse);
    parsed.map_err(|reason| Refusal::Remote(value, reason.to_string()))
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

/// A number of seconds; what is not above zero means "not given", as in EventMachine.
fn seconds(value: Value) -> Result<Option<Duration>, Error> {
    if !value.to_bool() {
        return Ok(None);
    }
    let seconds: f64 = value.funcall("to_f", ())?;
    let limit = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    Ok((seconds > 0.0).then_some(limit))
}
