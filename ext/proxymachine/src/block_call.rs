//! Calls the config's blocks and callbacks, reads their answers and logs both.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::Bytes;
use magnus::value::ReprValue;
use magnus::{ArgList, Error, IntoValue, RString, Ruby, Value};
use proxymachine_engine::net::zone::IpWithZone;
use proxymachine_engine::observer::metrics::{Counter, Timing};
use proxymachine_engine::{Client, Failure, RouterFault, TimedVerdict, Verdict};

use crate::error;
use crate::event::Block;
use crate::gvl::generation;
use crate::handler::{Handler, Method, block_method, callback_method};
use crate::log::{Line, Severity, printable};
use crate::plain_answer::PlainAnswer;
use crate::shared::{Field, RubyShared};
use crate::tls;
use crate::verdict::{AnswerError, AnswerReader};

/// Calls blocks on one Ruby thread.
pub struct BlockCaller<'a> {
    ruby: &'a Ruby,
    shared: &'a Arc<RubyShared>,
    pub handler: Handler,
    reader: AnswerReader,
    plain_answer: PlainAnswer,
    /// Lines about the calls, in order, for the caller's owner to log.
    pub lines: Vec<Line>,
    generation: u64,
    /// Duration of the last call.
    in_block: Duration,
    /// Whether the last call raised.
    has_raised: bool,
}

impl<'a> BlockCaller<'a> {
    pub fn new(ruby: &'a Ruby, shared: &'a Arc<RubyShared>, handler: Handler) -> Self {
        let reader = AnswerReader::new(ruby, &shared.upstreams.upstreams);
        Self {
            ruby,
            shared,
            handler,
            reader,
            plain_answer: PlainAnswer::new(ruby),
            lines: Vec::new(),
            generation: generation(),
            in_block: Duration::ZERO,
            has_raised: false,
        }
    }

    /// Calls a block that decides, and logs its answer. `data` is dropped before the call, so that the
    /// connection can append its next chunk in place. `now` is the beginning of the call, with its arguments.
    ///
    /// # Errors
    /// Returns what must end `run`: `exit`, an exception of a signal, `Thread#kill`, a fork.
    pub fn decide(
        &mut self,
        block: Block,
        client: &Client,
        data: Bytes,
        posted: Instant,
        now: Instant,
    ) -> Result<TimedVerdict, Error> {
        let metrics = client.endpoint().metrics();
        let queue_wait = now.duration_since(posted);
        metrics.took(Timing::QueueWait, queue_wait);
        self.in_block = Duration::ZERO;
        self.has_raised = false;
        let text = self.ruby.str_from_slice(&data);
        drop(data);
        let (listener, details) = self.client_arguments(client)?;
        let arguments = (text, listener, details);
        let verdict = self.call(block_method(block), client, arguments, now, |caller, answer| {
            let read = match caller.reader.read(answer, block) {
                Ok(Verdict::Tls(_)) if client.tls().is_some() => Err(caller.reader.second_tls(answer)),
                read => read,
            };
            // The client of proxy_accept has sent nothing yet, and may leave without having sent anything.
            let is_null = block == Block::Accept
                && matches!(read, Ok(Verdict::Wait(_)))
                && caller.shared.dontlognull.load(Relaxed);
            if !is_null && caller.shared.is_info.load(Relaxed) {
                match caller.plain_answer.line(client, answer) {
                    Some(line) => caller.log_text(Severity::Info, client, &[], line),
                    None => {
                        let line = caller.handler.answered(client.to_string(), answer)?;
                        caller.log(Severity::Info, client, &[], line);
                    }
                }
            }
            if matches!(read, Ok(Verdict::Fault(_))) {
                let line = caller.handler.undecided(client.to_string(), answer)?;
                caller.log(Severity::Warn, client, &[("block", &block.verb())], line);
            }
            Ok(read)
        })?;
        metrics.took(Timing::Block, self.in_block);
        if self.shared.is_slow(self.in_block) {
            self.shared.add_slow_call(client, block, queue_wait, self.in_block, verdict.as_ref());
        }
        metrics.count(match &verdict {
            Some(Verdict::Connect(_)) => Counter::AnsweredConnect,
            Some(Verdict::Close(_)) => Counter::AnsweredClose,
            Some(Verdict::Wait(_)) => Counter::AnsweredWait,
            Some(Verdict::Tls(_)) => Counter::AnsweredTls,
            None if self.has_raised => Counter::Raised,
            Some(Verdict::Fault(_)) | None => Counter::AnsweredInvalid,
        });
        let fault = if self.has_raised { RouterFault::Raised } else { RouterFault::InvalidAnswer };
        Ok(TimedVerdict { verdict: verdict.unwrap_or(Verdict::Fault(fault)), in_block: self.in_block })
    }

    /// Calls the callback for a failure. Most return values of a callback mean nothing.
    ///
    /// # Errors
    /// Returns the same errors as `decide`.
    pub fn call_failure_callback(
        &mut self,
        failure: Failure,
        client: &Client,
        remote: String,
        now: Instant,
    ) -> Result<Option<Verdict>, Error> {
        let read = |caller: &mut Self, answer| Ok(caller.reader.read_callback(answer));
        Ok(self.call(callback_method(failure), client, (remote,), now, read)?.flatten())
    }

    /// Calls a method of the handler and reads the answer. Returns None if the method raised or the answer is
    /// invalid.
    fn call<T>(
        &mut self,
        method: Method,
        client: &Client,
        arguments: impl ArgList,
        now: Instant,
        read: impl FnOnce(&mut Self, Value) -> Result<Result<T, AnswerError>, Error>,
    ) -> Result<Option<T>, Error> {
        let answered = self.handler.call(method, arguments);
        let duration = now.elapsed();
        self.in_block = duration;
        self.check_fork()?;
        let read = match answered {
            Err(error) => {
                self.log_raised(method, client, error)?;
                None
            }
            Ok(answer) => match read(self, answer)? {
                Ok(verdict) => {
                    self.log_unknown_keys(client, answer)?;
                    Some(verdict)
                }
                Err(error) => {
                    self.log_invalid(method, error, client, answer)?;
                    None
                }
            },
        };
        if self.shared.is_slow(duration) {
            let line = self.handler.slow(self.ruby, client.to_string(), method, duration.as_secs_f64())?;
            self.log(Severity::Warn, client, &[], line);
        }
        Ok(read)
    }

    /// Returns the name of the client's listener, and the arguments of `Client.new`. The name is nil if the
    /// listener has none; the arguments are nil if no block takes the client.
    fn client_arguments(&self, client: &Client) -> Result<(Value, Value), Error> {
        let nil = self.ruby.qnil().as_value();
        let name = client.endpoint().name().map_or(nil, |name| self.ruby.to_symbol(name).as_value());
        if !self.shared.configured_blocks.client.load(Relaxed) {
            return Ok((name, nil));
        }
        let host = |address: Option<SocketAddr>| address.map(|address| IpWithZone(address).to_string());
        let port = |address: Option<SocketAddr>| address.map(|address| address.port());
        let (peer, local) = (client.address(), client.local());
        let tlvs = self.ruby.ary_new();
        for (kind, value) in client.header().iter().flat_map(|header| &header.tlvs) {
            tlvs.push((*kind, self.ruby.str_from_slice(value)))?;
        }
        let age = client.age().as_secs_f64();
        let connections = self.shared.limits.get().and_then(|limits| limits.connections(client));
        let tls = client.tls().map(|info| tls::describe_connection(self.ruby, info)).transpose()?;
        let address = client.endpoint().address();
        let arguments =
            (host(peer), port(peer), host(local), port(local), address, tlvs, age, connections, tls);
        Ok((name, arguments.into_value_with(self.ruby)))
    }

    /// Logs why an answer is invalid.
    fn log_invalid(
        &mut self,
        method: Method,
        error: AnswerError,
        client: &Client,
        answer: Value,
    ) -> Result<(), Error> {
        let name = client.to_string();
        let line = match error {
            AnswerError::Raised(error) => return self.log_raised(method, client, error),
            AnswerError::Invalid => self.handler.invalid_answer(name, answer)?,
            AnswerError::Remote(remote, reason) => self.handler.invalid_remote(name, remote, reason)?,
            AnswerError::Value(key, value, expected) => {
                self.handler.invalid_value(name, key, value, expected)?
            }
        };
        self.log(Severity::Error, client, &[], line);
        Ok(())
    }

    /// Logs the unknown keys of an answer, each of them once. An unknown key is no error, since configs of 1.2.4 may
    /// have some.
    fn log_unknown_keys(&mut self, client: &Client, answer: Value) -> Result<(), Error> {
        let unknown = self.reader.unknown_keys(answer);
        let is_new = |key: &Value| self.shared.is_new_unknown_key(&key.inspect());
        let new: Vec<Value> = unknown.into_iter().filter(is_new).collect();
        if !new.is_empty() {
            let keys = self.ruby.ary_from_iter(new);
            let line = self.handler.unknown_keys(client.to_string(), keys)?;
            self.log(Severity::Warn, client, &[], line);
        }
        Ok(())
    }

    /// Logs the exception of a block, unless the exception must end the server.
    fn log_raised(&mut self, method: Method, client: &Client, error: Error) -> Result<(), Error> {
        self.has_raised = true;
        let Some(exception) = error.value() else {
            return Err(error); // Thread#kill, or a throw to a catch outside of run.
        };
        let line = self.handler.raised(exception)?;
        self.log(Severity::Error, client, &[], line);
        let name = client.endpoint().name().unwrap_or_else(|| client.endpoint().address());
        let place = self.handler.raised_at(self.ruby, client.to_string(), method, name, exception)?;
        self.log(Severity::Warn, client, &[("listener", &name)], place);
        Ok(())
    }

    /// Adds a line about a call. The text may contain anything, since the config's objects made parts of it.
    fn log(&mut self, severity: Severity, client: &Client, fields: &[Field<'_>], text: RString) {
        let text = printable(&String::from_utf8_lossy(&text.to_bytes()));
        self.log_text(severity, client, fields, text);
    }

    /// Adds a line about a call whose text is printable.
    fn log_text(&mut self, severity: Severity, client: &Client, fields: &[Field<'_>], text: String) {
        self.lines.push(self.shared.line(severity, Some(client), fields, text));
    }

    /// Checks that this process is no forked child, in which the engine threads do not exist.
    ///
    /// # Errors
    /// Returns a `ForkError` in a forked child.
    pub fn check_fork(&self) -> Result<(), Error> {
        if self.generation == generation() {
            return Ok(());
        }
        let message = "the server does not survive a fork inside the proxy block or a callback: \
                       use fork { ... }, and Process.daemon before run";
        Err(error::new(self.ruby, "ForkError", message))
    }
}
