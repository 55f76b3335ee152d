//! Asking the config: a call to Ruby, what it answers, and what there is to log about both.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::Bytes;
use magnus::value::{LazyId, ReprValue};
use magnus::{ArgList, Error, IntoValue, RString, Ruby, Symbol, Value};
use proxymachine_engine::meters::{Count, Time};
use proxymachine_engine::{Answer, Client, Failure, Verdict};

use crate::bridge::Bridge;
use crate::error;
use crate::gvl::generation;
use crate::log::{Line, Severity, printable};
use crate::queue::Block;
use crate::verdict::{Reader, Refusal};

/// Asks on one Ruby thread.
pub struct Asker<'a> {
    ruby: &'a Ruby,
    bridge: &'a Arc<Bridge>,
    /// A `ProxyMachine::Handler`.
    pub handler: Value,
    reader: Reader,
    /// What there is to log, in order.
    pub lines: Vec<Line>,
    generation: u64,
    /// How long the last call took, and whether it raised.
    in_block: Duration,
    is_raised: bool,
}

impl<'a> Asker<'a> {
    pub fn new(ruby: &'a Ruby, bridge: &'a Arc<Bridge>, handler: Value) -> Self {
        let reader = Reader::new(ruby);
        Self {
            ruby,
            bridge,
            handler,
            reader,
            lines: Vec::new(),
            generation: generation(),
            in_block: Duration::ZERO,
            is_raised: false,
        }
    }

    /// Asks a block, and logs what it answered. `data` is let go before the block is called, so that the
    /// connection can append its next chunk in place.
    ///
    /// # Errors
    /// What must end `run`: `exit`, a signal's exception, `Thread#kill`, a fork.
    pub fn decide(
        &mut self,
        block: Block,
        client: &Client,
        data: Bytes,
        posted: Instant,
    ) -> Result<Answer, Error> {
        let meters = client.endpoint().meters();
        let waited = posted.elapsed();
        meters.took(Time::QueueWait, waited);
        self.in_block = Duration::ZERO;
        self.is_raised = false;
        let text = self.ruby.str_from_slice(&data);
        drop(data);
        let (listener, about) = self.about(client)?;
        let verdict = self.ask(method_of(block), client, (text, listener, about), |asker, answer| {
            if asker.bridge.info.load(Relaxed) {
                asker.log_text(Severity::Info, client, "answered", (client.to_string(), answer))?;
            }
            Ok(asker.reader.read(answer, block))
        })?;
        meters.took(Time::Block, self.in_block);
        if self.bridge.is_slow(self.in_block) {
            self.bridge.remember_slow(client, verb_of(block), waited, self.in_block, verdict.as_ref());
        }
        meters.count(match &verdict {
            Some(Verdict::Connect(_)) => Count::AnsweredConnect,
            Some(Verdict::Close(_)) => Count::AnsweredClose,
            Some(Verdict::Wait(_)) => Count::AnsweredWait,
            None if self.is_raised => Count::Raised,
            None => Count::AnsweredInvalid,
        });
        Ok(Answer { verdict: verdict.unwrap_or(Verdict::Close(None)), in_block: self.in_block })
    }

    /// Runs a callback. What it returns mostly means nothing.
    ///
    /// # Errors
    /// The same as for `decide`.
    pub fn consult(
        &mut self,
        failure: Failure,
        client: &Client,
        remote: String,
    ) -> Result<Option<Verdict>, Error> {
        let method = match failure {
            Failure::Connect | Failure::Premature => &CONNECT_ERROR,
            Failure::Inactivity => &INACTIVITY_ERROR,
        };
        let read = |asker: &mut Self, answer| Ok(asker.reader.read_consulted(answer));
        Ok(self.ask(method, client, (remote,), read)?.flatten())
    }

    /// Calls the handler's `method` and reads its answer: None if that raised, or is none.
    fn ask<T>(
        &mut self,
        method: &'static LazyId,
        client: &Client,
        arguments: impl ArgList,
        read: impl FnOnce(&mut Self, Value) -> Result<Result<T, Refusal>, Error>,
    ) -> Result<Option<T>, Error> {
        let called = Instant::now();
        let answered: Result<Value, Error> = self.handler.funcall(**method, arguments);
        let taken = called.elapsed();
        self.in_block = taken;
        self.check_fork()?;
        let read = match answered {
            Err(error) => {
                self.raised(client, error)?;
                None
            }
            Ok(answer) => match read(self, answer)? {
                Ok(verdict) => {
                    self.notice_unknown_key(client, answer)?;
                    Some(verdict)
                }
                Err(refusal) => {
                    self.refused(refusal, client, answer)?;
                    None
                }
            },
        };
        if self.bridge.is_slow(taken) {
            let name = Symbol::from(LazyId::get_inner_with(method, self.ruby));
            self.log_text(Severity::Warn, client, "slow", (client.to_string(), name, taken.as_secs_f64()))?;
        }
        Ok(read)
    }

    /// The name of the client's listener, and what a block may want to know about the client; nil if
    /// there is none, or nobody asks.
    fn about(&self, client: &Client) -> Result<(Value, Value), Error> {
        let nil = self.ruby.qnil().as_value();
        let name = client.endpoint().name().map_or(nil, |name| self.ruby.to_symbol(name).as_value());
        if !self.bridge.wanted.client.load(Relaxed) {
            return Ok((name, nil));
        }
        let host = |address: Option<SocketAddr>| address.map(|address| address.ip().to_string());
        let port = |address: Option<SocketAddr>| address.map(|address| address.port());
        let (peer, local) = (client.address(), client.local());
        let tlvs = self.ruby.ary_new();
        for (kind, value) in client.header().iter().flat_map(|header| &header.tlvs) {
            tlvs.push((*kind, self.ruby.str_from_slice(value)))?;
        }
        let age = client.age().as_secs_f64();
        let about =
            (host(peer), port(peer), host(local), port(local), client.endpoint().address(), tlvs, age);
        Ok((name, about.into_value_with(self.ruby)))
    }

    /// Logs why an answer is none.
    fn refused(&mut self, refusal: Refusal, client: &Client, answer: Value) -> Result<(), Error> {
        let name = client.to_string();
        match refusal {
            Refusal::Raised(error) => self.raised(client, error),
            Refusal::Invalid => self.log_text(Severity::Error, client, "invalid_answer", (name, answer)),
            Refusal::Remote(remote, reason) => {
                self.log_text(Severity::Error, client, "invalid_remote", (name, remote, reason))
            }
            Refusal::Key(key, value, expected) => {
                self.log_text(Severity::Error, client, "invalid_value", (name, key, value, expected))
            }
        }
    }

    /// Logs a key that means nothing, once: configs of 1.2.4 may have some, but mostly it is a slip.
    fn notice_unknown_key(&mut self, client: &Client, answer: Value) -> Result<(), Error> {
        match self.reader.unknown_key(answer) {
            Some(key) if self.bridge.is_news(&key.inspect()) => {
                self.log_text(Severity::Warn, client, "unknown_key", (client.to_string(), key))
            }
            _ => Ok(()),
        }
    }

    /// Logs the exception of a block, unless it must end the server.
    fn raised(&mut self, client: &Client, error: Error) -> Result<(), Error> {
        self.is_raised = true;
        let Some(exception) = error.value() else {
            return Err(error); // Thread#kill, or a throw to somewhere outside of run.
        };
        self.log_text(Severity::Error, client, "raised", (exception,))
    }

    /// Logs what the handler's `method` makes of something foreign.
    fn log_text(
        &mut self,
        severity: Severity,
        client: &Client,
        method: &str,
        arguments: impl ArgList,
    ) -> Result<(), Error> {
        let text: RString = self.handler.funcall(method, arguments)?;
        let text = printable(&String::from_utf8_lossy(&text.to_bytes()));
        let fields = self.bridge.fields(&[("client", client)]);
        self.lines.push(Line::new(severity, text).with(fields));
        Ok(())
    }

    /// In a forked child the engine's threads do not exist.
    pub fn check_fork(&self) -> Result<(), Error> {
        if self.generation == generation() {
            return Ok(());
        }
        let message = "the server does not survive a fork inside the proxy block or a callback: \
                       use fork { ... }, and Process.daemon before run";
        Err(error::new(self.ruby, "ForkError", message))
    }
}

// The handler's methods.
static ROUTE: LazyId = LazyId::new("route");
static ACCEPTED: LazyId = LazyId::new("accepted");
static TIMED_OUT: LazyId = LazyId::new("timed_out");
static CONNECT_ERROR: LazyId = LazyId::new("connect_error");
static INACTIVITY_ERROR: LazyId = LazyId::new("inactivity_error");

/// What the handler calls a block.
fn method_of(block: Block) -> &'static LazyId {
    match block {
        Block::Proxy => &ROUTE,
        Block::Accept => &ACCEPTED,
        Block::Timeout => &TIMED_OUT,
    }
}

/// As the config calls it.
fn verb_of(block: Block) -> &'static str {
    match block {
        Block::Proxy => "proxy",
        Block::Accept => "proxy_accept",
        Block::Timeout => "proxy_timeout",
    }
}
