//! Reads an answer as the engine does, without an engine: in words for `proxymachine --route`, and in its parts for
//! `ProxyMachine::Testing`.

use std::sync::Arc;

use bytes::Bytes;
use magnus::scan_args::scan_args;
use magnus::value::ReprValue;
use magnus::{Error, IntoValue, RArray, RString, Ruby, Value};
use proxymachine_engine::upstream::{Definition, Options, Upstreams};
use proxymachine_engine::{InvalidRemote, KeyLimit, Remote, Route, Target, Verdict};

use crate::error;
use crate::event::Block;
use crate::log::printable;
use crate::verdict::{AnswerError, AnswerReader};

/// The arguments of [`explain`] and [`read_answer`].
struct Arguments {
    answer: Value,
    is_early: bool,
    /// The declared upstreams, without servers.
    upstreams: Arc<Upstreams>,
}

impl Arguments {
    fn scan(arguments: &[Value]) -> Result<Self, Error> {
        let scanned = scan_args::<(Value, bool), (Option<Vec<String>>,), (), (), (), ()>(arguments)?;
        let ((answer, is_early), (names,)) = (scanned.required, scanned.optional);
        let define = |name| Definition { name, servers: Vec::new(), options: Options::default() };
        let upstreams = Arc::new(Upstreams::default());
        upstreams.define(names.unwrap_or_default().into_iter().map(define).collect());
        Ok(Self { answer, is_early, upstreams })
    }
}

/// `Engine.explain(answer, is_early, upstreams = [])`: returns a description of the answer. `is_early` stands for an
/// answer of `proxy_accept`, which runs before the client has sent anything. `upstreams` are the names of the declared
/// upstreams.
///
/// # Errors
/// Returns a `ConfigError` if the answer is invalid.
pub fn explain(ruby: &Ruby, arguments: &[Value]) -> Result<String, Error> {
    let Arguments { answer, is_early, upstreams } = Arguments::scan(arguments)?;
    let invalid = |reason| error::new(ruby, "ConfigError", format!("the answer means nothing: {reason}"));
    let block = if is_early { Block::Accept } else { Block::Proxy };
    let reader = AnswerReader::new(ruby, &upstreams);
    let read = reader.read(answer, block);
    let unknown: Vec<String> = reader.unknown_keys(answer).iter().map(|key| key.inspect()).collect();
    let unknown = match unknown.len() {
        0 => String::new(),
        _ => format!("; no such key in an answer: {}", printable(&unknown.join(", "))),
    };
    match read.map(|verdict| (verdict, unknown)) {
        Ok((Verdict::Connect(route), unknown)) => Ok(connect(&route) + &unknown),
        Ok((Verdict::Close(None), unknown)) => Ok(format!("closes the connection{unknown}")),
        Ok((Verdict::Close(Some(text)), unknown)) => {
            Ok(format!("says {} and closes the connection{unknown}", ByteCount(text.len())))
        }
        Ok((Verdict::Wait(None), unknown)) => Ok(format!("waits for more{unknown}")),
        Ok((Verdict::Wait(Some(text)), unknown)) => {
            Ok(format!("says {} and waits for more{unknown}", ByteCount(text.len())))
        }
        Ok((Verdict::Tls(start), unknown)) => {
            let says = start.reply.map(|text| format!("says {} and ", ByteCount(text.len())));
            let says = says.unwrap_or_default();
            Ok(format!("{says}ends TLS here, then asks again about the decrypted bytes{unknown}"))
        }
        Ok((Verdict::Fault(_), unknown)) => Err(invalid(format!("{DECIDES_NOTHING}{unknown}"))),
        Err(error) => Err(invalid(reason(error)?)),
    }
}

/// `Engine.read_answer(answer, is_early, upstreams = [])`: returns the parts of an answer: one of `:connect`, `:close`,
/// `:wait`, `:tls` and `:invalid`; the remotes, backends as Strings and upstreams as Symbols; the text for the client
/// before a close or a TLS handshake, or while the connection waits, or why the answer is invalid; and the answer's
/// `:data` and `:reply`. Parts that the answer does not have are nil. The arguments are those of [`explain`].
///
/// # Errors
/// Returns the exception that a method of the answer raised.
pub fn read_answer(ruby: &Ruby, arguments: &[Value]) -> Result<RArray, Error> {
    let Arguments { answer, is_early, upstreams } = Arguments::scan(arguments)?;
    let block = if is_early { Block::Accept } else { Block::Proxy };
    let parts = match AnswerReader::new(ruby, &upstreams).read(answer, block) {
        Ok(Verdict::Connect(route)) => {
            let remotes = ruby.ary_from_iter(route.targets().map(|target| match target {
                Target::Upstream(upstream) => ruby.to_symbol(upstream.name()).as_value(),
                Target::Backend(remote) => ruby.str_new(&remote.to_string()).as_value(),
            }));
            Parts {
                remotes: Some(remotes),
                data: route.data.clone(),
                reply: route.reply.clone(),
                ..Parts::new("connect")
            }
        }
        Ok(Verdict::Close(words)) => Parts { words, ..Parts::new("close") },
        Ok(Verdict::Wait(words)) => Parts { words, ..Parts::new("wait") },
        Ok(Verdict::Tls(start)) => Parts { words: start.reply, data: start.data, ..Parts::new("tls") },
        Ok(Verdict::Fault(_)) => Parts { words: Some(DECIDES_NOTHING.into()), ..Parts::new("invalid") },
        Err(error) => Parts { words: Some(reason(error)?.into()), ..Parts::new("invalid") },
    };
    parts.into_array(ruby)
}

/// Why an answer is invalid that is a Hash but no decision.
const DECIDES_NOTHING: &str = "it has no :remote, :close or :noop that is true, so that it decides nothing";

/// The parts of an answer, in the order of the Array for Ruby.
struct Parts {
    kind: &'static str,
    remotes: Option<RArray>,
    words: Option<Bytes>,
    data: Option<Bytes>,
    reply: Option<Bytes>,
}

impl Parts {
    fn new(kind: &'static str) -> Self {
        Self { kind, remotes: None, words: None, data: None, reply: None }
    }

    fn into_array(self, ruby: &Ruby) -> Result<RArray, Error> {
        let text =
            |bytes: Option<Bytes>| -> Option<RString> { bytes.map(|bytes| ruby.str_from_slice(&bytes)) };
        let Self { kind, remotes, words, data, reply } = self;
        let array = (ruby.to_symbol(kind), remotes, text(words), text(data), text(reply));
        magnus::TryConvert::try_convert(array.into_value_with(ruby))
    }
}

/// Returns why an answer is invalid.
///
/// # Errors
/// Returns the exception that a method of the answer raised.
fn reason(error: AnswerError) -> Result<String, Error> {
    match error {
        AnswerError::Raised(error) => Err(error),
        AnswerError::Invalid => Ok("it is none that a proxy block can give".into()),
        AnswerError::Remote(_, reason) => Ok(format!("invalid remote: {reason}")),
        AnswerError::Value(key, _, expected) => Ok(format!(":{key} is {expected}")),
    }
}

/// `Engine.invalid_remote(text)`: returns why a text is no remote, nil if it is one.
pub fn invalid_remote(text: RString) -> Option<String> {
    let text = text.to_bytes();
    let parsed =
        std::str::from_utf8(&text).map_err(|_| InvalidRemote::BadHost).and_then(str::parse::<Remote>);
    parsed.err().map(|reason| reason.to_string())
}

fn connect(route: &Route) -> String {
    let mut text = format!("connects to {route}");
    match &route.data {
        Some(data) => text += &format!(", sends it {} instead of what has come", ByteCount(data.len())),
        None => text += ", sends it what has come",
    }
    if let Some(limit) = &route.limit {
        for KeyLimit { key, max } in &limit.limits {
            text += &format!(", at most {max} at once with {}", printable(&key.to_string()));
        }
    }
    if let Some(reply) = &route.reply {
        text += &format!(", says {} to the client", ByteCount(reply.len()));
    }
    text
}

/// Displays a number of bytes with its unit.
struct ByteCount(usize);

impl std::fmt::Display for ByteCount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} byte{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}
