//! The Ruby thread's loop: wait without the GVL, then answer everything that has come.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use magnus::value::ReprValue;
use magnus::{ArgList, Error, IntoValue, RString, Ruby, Value};
use proxymachine_engine::{Client, Failure, Verdict};

use crate::bridge::Bridge;
use crate::error;
use crate::gvl::{check_interrupts, generation};
use crate::log::{Line, Log, Severity};
use crate::queue::{Answers, Batch, Block, Call, Event, lines_of};
use crate::verdict::{Reader, Refusal};

/// How often the process title may change.
const TITLE_PERIOD: Duration = Duration::from_secs(1);

/// Answers wait at most this long for the rest of their batch, but for the call that is under way.
const PATIENCE: Duration = Duration::from_micros(500);

/// A call that takes longer is slow: soon after one, no answer waits for another call. Well above what
/// a thread loses when another one gets its processor, which would cost a wake-up for each answer.
const SLOW: Duration = Duration::from_millis(10);

/// How long "soon after" is.
const SLOW_PERIOD: Duration = Duration::from_secs(2);

/// Serves a bridge on the Ruby thread.
pub struct Dispatcher<'a> {
    ruby: &'a Ruby,
    bridge: &'a Arc<Bridge>,
    /// A `ProxyMachine::Handler`.
    handler: Value,
    reader: Reader,
    /// Whoever takes longer is named in the log.
    slow_block: Option<Duration>,
    log: Log,
    lines: Vec<Line>,
    batches: VecDeque<Batch>,
    calls: VecDeque<Call>,
    answers: Answers,
    generation: u64,
    last_slow: Option<Instant>,
    title_renewed: Option<Instant>,
}

impl<'a> Dispatcher<'a> {
    pub fn new(
        ruby: &'a Ruby,
        bridge: &'a Arc<Bridge>,
        handler: Value,
        slow_block: Option<Duration>,
    ) -> Self {
        Self {
            ruby,
            bridge,
            handler,
            reader: Reader::new(ruby),
            slow_block,
            log: Log::new(),
            lines: Vec::new(),
            batches: VecDeque::new(),
            calls: VecDeque::new(),
            answers: Answers::default(),
            generation: generation(),
            last_slow: None,
            title_renewed: None,
        }
    }

    /// Serves until the engine has finished.
    ///
    /// # Errors
    /// What must end `run`: `exit`, a signal's exception, `Thread#kill`, a fork.
    pub fn serve(&mut self) -> Result<(), Error> {
        loop {
            self.check_fork()?;
            let finished = self.bridge.queue.is_finished();
            self.batches.extend(self.bridge.queue.take());
            if self.batches.is_empty() {
                if finished {
                    return Ok(());
                }
                let limit = self.renew_title()?;
                self.check_fork()?;
                self.bridge.queue.signal.wait(limit)?;
                continue;
            }
            self.follow_logger()?;
            while let Some(batch) = self.batches.pop_front() {
                self.answer(batch)?;
            }
            self.renew_title()?;
            check_interrupts()?;
        }
    }

    /// What was to be logged when `serve` ended early. Calls no Ruby.
    pub fn into_lines(mut self) -> Vec<Line> {
        self.lines.extend(lines_of(self.batches));
        self.lines.extend(self.bridge.queue.take_lines());
        self.lines
    }

    /// What has happened is logged before the blocks are called, and what they answered after that:
    /// so lines that a block logs itself stand where they belong, and each batch is written twice
    /// at most.
    fn answer(&mut self, batch: Batch) -> Result<(), Error> {
        for event in batch.events {
            match event {
                Event::Line(line) => self.lines.push(line),
                Event::Call(call) => self.calls.push_back(call),
            }
        }
        self.log.write(&mut self.lines, self.handler)?;

        let origin = batch.origin.as_ref();
        while let Some(call) = self.calls.pop_front() {
            if self.last_slow.is_some_and(|then| then.elapsed() < SLOW_PERIOD) {
                self.answers.deliver(origin);
            }
            let called = Instant::now();
            self.call(call)?;
            self.check_fork()?;
            let taken = called.elapsed();
            if taken > SLOW {
                self.last_slow = Some(Instant::now());
            }
            if taken > PATIENCE {
                self.answers.deliver(origin);
                self.log.write(&mut self.lines, self.handler)?;
                self.renew_title()?;
            }
        }
        self.answers.deliver(origin);
        self.log.write(&mut self.lines, self.handler)
    }

    fn call(&mut self, call: Call) -> Result<(), Error> {
        let called = Instant::now();
        let (name, client) = match call {
            Call::Block { block, client, data, answer } => {
                if answer.is_closed() {
                    return Ok(()); // The client has left.
                }
                let text = self.ruby.str_from_slice(&data);
                drop(data); // Lets the connection append its next chunk in place.
                let verdict = self.decide(block, &client, text)?;
                self.answers.push(answer, verdict);
                (method_of(block), client)
            }
            Call::Callback { failure, client, remote, answer } => {
                let name = match failure {
                    Failure::Connect | Failure::Premature => "connect_error",
                    Failure::Inactivity => "inactivity_error",
                };
                let verdict = self.consult(name, &client, remote)?;
                let _ = answer.send(verdict);
                (name, client)
            }
        };
        let taken = called.elapsed();
        if self.slow_block.is_some_and(|limit| taken > limit) {
            self.log_text(Severity::Warn, "slow", (client.to_string(), name, taken.as_secs_f64()))?;
        }
        Ok(())
    }

    /// Asks a block, and logs what it answered.
    fn decide(&mut self, block: Block, client: &Client, data: RString) -> Result<Verdict, Error> {
        let about = self.about(client)?;
        let answer: Value = match self.handler.funcall(method_of(block), (data, about.0, about.1)) {
            Ok(answer) => answer,
            Err(error) => {
                self.raised(error)?;
                return Ok(Verdict::Close(None));
            }
        };
        if self.bridge.info.load(Relaxed) {
            self.log_text(Severity::Info, "answered", (client.to_string(), answer))?;
        }
        match self.reader.read(answer, block) {
            Ok(verdict) => Ok(verdict),
            Err(refusal) => {
                self.refused(refusal, client, answer)?;
                Ok(Verdict::Close(None))
            }
        }
    }

    /// Runs a callback. What it returns mostly means nothing.
    fn consult(&mut self, name: &str, client: &Client, remote: String) -> Result<Option<Verdict>, Error> {
        let answer: Value = match self.handler.funcall(name, (remote,)) {
            Ok(answer) => answer,
            Err(error) => {
                self.raised(error)?;
                return Ok(None);
            }
        };
        match self.reader.read_consulted(answer) {
            Ok(verdict) => Ok(verdict),
            Err(refusal) => {
                self.refused(refusal, client, answer)?;
                Ok(None)
            }
        }
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
        let client = client.to_string();
        match refusal {
            Refusal::Raised(error) => self.raised(error),
            Refusal::Invalid => self.log_text(Severity::Error, "invalid_answer", (client, answer)),
            Refusal::Remote(remote, reason) => {
                self.log_text(Severity::Error, "invalid_remote", (client, remote, reason))
            }
            Refusal::Key(key, value, expected) => {
                self.log_text(Severity::Error, "invalid_value", (client, key, value, expected))
            }
        }
    }

    /// Logs the exception of a block, unless it must end the server.
    fn raised(&mut self, error: Error) -> Result<(), Error> {
        let Some(exception) = error.value() else {
            return Err(error); // Thread#kill, or a throw to somewhere outside of run.
        };
        self.log_text(Severity::Error, "raised", (exception,))
    }

    /// Logs what the handler's `method` makes of something foreign.
    fn log_text(&mut self, severity: Severity, method: &str, arguments: impl ArgList) -> Result<(), Error> {
        let text: RString = self.handler.funcall(method, arguments)?;
        let text = printable(&String::from_utf8_lossy(&text.to_bytes()));
        self.lines.push(Line::new(severity, text));
        Ok(())
    }

    /// Follows a LOGGER that was reassigned or whose level was changed.
    fn follow_logger(&self) -> Result<(), Error> {
        let info = self.handler.funcall("info?", ())?;
        self.bridge.info.store(info, Relaxed);
        Ok(())
    }

    /// Renews a title that is not true any more; returns how long to wait until it may be.
    fn renew_title(&mut self) -> Result<Option<Duration>, Error> {
        if !self.bridge.title_stale.load(Relaxed) {
            return Ok(None);
        }
        let rest = self.title_renewed.and_then(|then| TITLE_PERIOD.checked_sub(then.elapsed()));
        if rest.is_some() {
            return Ok(rest);
        }
        self.bridge.title_stale.store(false, Relaxed);
        self.title_renewed = Some(Instant::now());
        self.handler.funcall::<_, _, Value>("title", ())?;
        Ok(None)
    }

    /// In a forked child the engine's threads do not exist.
    fn check_fork(&self) -> Result<(), Error> {
        if self.generation == generation() {
            return Ok(());
        }
        let message = "the server does not survive a fork inside the proxy block or a callback: \
                       use fork { ... }, and Process.daemon before run";
        Err(error::new(self.ruby, "ForkError", message))
    }
}

/// What the handler calls a block.
fn method_of(block: Block) -> &'static str {
    match block {
        Block::Proxy => "route",
        Block::Accept => "accepted",
        Block::Timeout => "timed_out",
    }
}

/// Control characters escaped: a log line stays one line, and harmless to a terminal.
fn printable(text: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    if text.chars().any(char::is_control) { text.chars().map(escape).collect() } else { text.to_owned() }
}
