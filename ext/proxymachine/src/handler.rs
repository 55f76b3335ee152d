//! Calls of the `ProxyMachine::Server::Handler`, the only Ruby object that the extension calls while it
//! serves. Each method name is looked up once.

use magnus::value::{LazyId, ReprValue};
use magnus::{ArgList, Error, RArray, RString, Ruby, Symbol, Value};
use proxymachine_engine::Failure;

use crate::event::Block;
use crate::log::Severity;

/// A method of the handler.
pub type Method = &'static LazyId;

/// Returns the handler's method that calls a block.
pub fn block_method(block: Block) -> Method {
    static ROUTE: LazyId = LazyId::new("route");
    static ACCEPTED: LazyId = LazyId::new("accepted");
    static TIMED_OUT: LazyId = LazyId::new("timed_out");
    match block {
        Block::Proxy => &ROUTE,
        Block::Accept => &ACCEPTED,
        Block::Timeout => &TIMED_OUT,
    }
}

/// Returns the handler's method that calls the callback for a failure.
pub fn callback_method(failure: Failure) -> Method {
    static CONNECT_ERROR: LazyId = LazyId::new("connect_error");
    static INACTIVITY_ERROR: LazyId = LazyId::new("inactivity_error");
    match failure {
        Failure::Connect | Failure::Premature => &CONNECT_ERROR,
        Failure::Inactivity => &INACTIVITY_ERROR,
    }
}

/// A `ProxyMachine::Server::Handler`. The owner must keep the value on the stack, where the garbage collector
/// finds it.
#[derive(Clone, Copy)]
pub struct Handler(Value);

impl Handler {
    pub fn new(handler: Value) -> Self {
        Self(handler)
    }

    /// Calls a block or a callback; see [`block_method`] and [`callback_method`].
    ///
    /// # Errors
    /// Returns the exception or the jump that ended the block.
    pub fn call(self, method: Method, arguments: impl ArgList) -> Result<Value, Error> {
        self.0.funcall(**method, arguments)
    }

    /// Reports that the engine runs.
    pub fn started(self) -> Result<(), Error> {
        static STARTED: LazyId = LazyId::new("started");
        self.0.funcall::<_, _, Value>(*STARTED, ()).map(drop)
    }

    /// Renews the process title.
    pub fn title(self) -> Result<(), Error> {
        static TITLE: LazyId = LazyId::new("title");
        self.0.funcall::<_, _, Value>(*TITLE, ()).map(drop)
    }

    /// Returns whether the logger takes INFO lines.
    pub fn is_info(self) -> Result<bool, Error> {
        static INFO: LazyId = LazyId::new("info?");
        self.0.funcall(*INFO, ())
    }

    /// Returns how lines may be written in one piece: whether as JSON, and the least severity. None if the
    /// logger has to get each line by itself.
    pub fn log_plan(self) -> Result<Option<(bool, u8)>, Error> {
        static LOG_PLAN: LazyId = LazyId::new("log_plan");
        self.0.funcall(*LOG_PLAN, ())
    }

    /// Writes formatted lines to the log.
    pub fn write(self, lines: String) -> Result<(), Error> {
        static WRITE: LazyId = LazyId::new("write");
        self.0.funcall::<_, _, Value>(*WRITE, (lines,)).map(drop)
    }

    /// Gives lines to the logger, which formats them.
    pub fn log(self, lines: impl Iterator<Item = (Severity, String)>) -> Result<(), Error> {
        static LOG: LazyId = LazyId::new("log");
        let ruby = Ruby::get_with(self.0);
        let all = ruby.ary_new();
        for (severity, line) in lines {
            all.push((ruby.to_symbol(severity.method()), line))?;
        }
        self.0.funcall::<_, _, Value>(*LOG, (all,)).map(drop)
    }

    /// Returns a second since the epoch in local time, as Ruby's `Logger` writes it.
    pub fn second(self, second: u64) -> Result<String, Error> {
        static SECOND: LazyId = LazyId::new("second");
        self.0.funcall(*SECOND, (second,))
    }

    /// Returns the log line for an exception of a block.
    ///
    /// # Errors
    /// Returns the exception itself if it must end the server.
    pub fn raised(self, exception: impl ReprValue) -> Result<RString, Error> {
        static RAISED: LazyId = LazyId::new("raised");
        self.0.funcall(*RAISED, (exception.as_value(),))
    }

    /// Returns the log line that says where a block or callback raised an exception.
    pub fn raised_at(
        self,
        ruby: &Ruby,
        client: String,
        method: Method,
        listener: &str,
        exception: impl ReprValue,
    ) -> Result<RString, Error> {
        static RAISED_AT: LazyId = LazyId::new("raised_at");
        let method = Symbol::from(LazyId::get_inner_with(method, ruby));
        self.0.funcall(*RAISED_AT, (client, method, listener, exception.as_value()))
    }

    /// Returns the log line for an answer.
    pub fn answered(self, client: String, answer: Value) -> Result<RString, Error> {
        static ANSWERED: LazyId = LazyId::new("answered");
        self.0.funcall(*ANSWERED, (client, answer))
    }

    /// Returns the log line for an invalid answer.
    pub fn invalid_answer(self, client: String, answer: Value) -> Result<RString, Error> {
        static INVALID_ANSWER: LazyId = LazyId::new("invalid_answer");
        self.0.funcall(*INVALID_ANSWER, (client, answer))
    }

    /// Returns the log line for an invalid remote.
    pub fn invalid_remote(self, client: String, remote: Value, reason: String) -> Result<RString, Error> {
        static INVALID_REMOTE: LazyId = LazyId::new("invalid_remote");
        self.0.funcall(*INVALID_REMOTE, (client, remote, reason))
    }

    /// Returns the log line for an invalid value of a key.
    pub fn invalid_value(
        self,
        client: String,
        key: &str,
        value: Value,
        expected: &str,
    ) -> Result<RString, Error> {
        static INVALID_VALUE: LazyId = LazyId::new("invalid_value");
        self.0.funcall(*INVALID_VALUE, (client, key, value, expected))
    }

    /// Returns the log line for an answer that decides nothing.
    pub fn undecided(self, client: String, answer: Value) -> Result<RString, Error> {
        static UNDECIDED: LazyId = LazyId::new("undecided");
        self.0.funcall(*UNDECIDED, (client, answer))
    }

    /// Returns the log line for unknown keys of an answer.
    pub fn unknown_keys(self, client: String, keys: RArray) -> Result<RString, Error> {
        static UNKNOWN_KEYS: LazyId = LazyId::new("unknown_keys");
        self.0.funcall(*UNKNOWN_KEYS, (client, keys))
    }

    /// Returns the log line for a slow block or callback.
    pub fn slow(self, ruby: &Ruby, client: String, method: Method, seconds: f64) -> Result<RString, Error> {
        static SLOW: LazyId = LazyId::new("slow");
        let method = Symbol::from(LazyId::get_inner_with(method, ruby));
        self.0.funcall(*SLOW, (client, method, seconds))
    }
}
