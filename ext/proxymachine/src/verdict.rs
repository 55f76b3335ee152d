//! A block's answer becomes a verdict.

use std::time::Duration;

use bytes::Bytes;
use magnus::rb_sys::AsRawValue;
use magnus::value::{Qtrue, ReprValue};
use magnus::{Error, RHash, RString, Ruby, StaticSymbol, Symbol, Value};
use proxymachine_engine::{InvalidRemote, Remote, Route, Verdict};

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
    remote: StaticSymbol,
    data: StaticSymbol,
    reply: StaticSymbol,
    connect_timeout: StaticSymbol,
    inactivity_timeout: StaticSymbol,
    close: StaticSymbol,
    noop: StaticSymbol,
}

impl Reader {
    pub fn new(ruby: &Ruby) -> Self {
        Self {
            remote: ruby.sym_new("remote"),
            data: ruby.sym_new("data"),
            reply: ruby.sym_new("reply"),
            connect_timeout: ruby.sym_new("connect_timeout"),
            inactivity_timeout: ruby.sym_new("inactivity_timeout"),
            close: ruby.sym_new("close"),
            noop: ruby.sym_new("noop"),
        }
    }

    /// A Hash, or one of the short forms of 0.1.x: `"host:port"`, `:noop`, `:close`.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn read(&self, answer: Value) -> Result<Verdict, Refusal> {
        if let Some(hash) = RHash::from_value(answer) {
            self.read_hash(hash)
        } else if RString::from_value(answer).is_some() {
            Ok(Verdict::connect(remote(answer)?))
        } else if is(answer, self.noop) {
            Ok(Verdict::Wait)
        } else if is(answer, self.close) {
            Ok(Verdict::Close(None))
        } else {
            Err(Refusal::Invalid)
        }
    }

    fn read_hash(&self, answer: RHash) -> Result<Verdict, Refusal> {
        // A plain Hash is read without a method call; a subclass may have its own idea of [].
        let ruby = Ruby::get_with(answer);
        let plain = answer.class().as_raw() == ruby.class_hash().as_raw();
        let get = |key: StaticSymbol| -> Result<Value, Error> {
            if plain { answer.aref(key) } else { answer.funcall("[]", (key,)) }
        };

        let target = get(self.remote)?;
        if target.to_bool() {
            let mut route = Route::new(remote(target)?);
            route.data = bytes(get(self.data)?)?;
            route.reply = bytes(get(self.reply)?)?;
            if let Some(timeout) = seconds(get(self.connect_timeout)?)? {
                route.connect_timeout = timeout;
            }
            route.inactivity_timeout = seconds(get(self.inactivity_timeout)?)?;
            return Ok(Verdict::Connect(Box::new(route)));
        }
        let close = get(self.close)?;
        if close.to_bool() {
            let words = if Qtrue::from_value(close).is_some() { None } else { bytes(close)? };
            return Ok(Verdict::Close(words));
        }
        let noop = get(self.noop)?.to_bool();
        Ok(if noop { Verdict::Wait } else { Verdict::Close(None) })
    }
}

fn is(answer: Value, symbol: StaticSymbol) -> bool {
    answer.as_raw() == symbol.as_raw()
}

/// `"host:port"` as a String or a Symbol.
fn remote(value: Value) -> Result<Remote, Refusal> {
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

/// The bytes of a String, of any encoding, or of what another object calls itself; nil is none.
fn bytes(value: Value) -> Result<Option<Bytes>, Error> {
    if value.is_nil() {
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
    if value.is_nil() {
        return Ok(None);
    }
    let seconds: f64 = value.funcall("to_f", ())?;
    let limit = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    Ok((seconds > 0.0).then_some(limit))
}
