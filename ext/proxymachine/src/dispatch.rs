//! The Ruby thread's loop: wait without the GVL, then answer everything that has come.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use magnus::value::ReprValue;
use magnus::{Error, Ruby, Value};
use proxymachine_engine::Verdict;

use crate::bridge::{Bridge, Peer};
use crate::error;
use crate::gvl::{check_interrupts, generation};
use crate::queue::{Answers, Batch, Callback, Event, Severity};
use crate::verdict::{Reader, Refusal};

/// How often the process title may change.
const TITLE_PERIOD: Duration = Duration::from_secs(1);

/// Answers wait at most this long for the rest of their batch.
const DELIVERY_PERIOD: Duration = Duration::from_micros(500);

/// Serves `bridge` until the engine has finished.
///
/// `handler` is a `ProxyMachine::Handler`: `route`, `answered`, `invalid_answer`, `invalid_remote`,
/// `raised`, `callback`, `log`, `info?`, `title`.
///
/// # Errors
/// What must end `run`: `exit`, a signal's exception, `Thread#kill`, a fork.
pub fn serve(ruby: &Ruby, bridge: &Arc<Bridge>, handler: Value) -> Result<(), Error> {
    let mut dispatcher = Dispatcher {
        ruby,
        bridge,
        handler,
        reader: Reader::new(ruby),
        generation: generation(),
        title_renewed: None,
    };
    loop {
        let finished = bridge.queue.is_finished();
        let batches = bridge.queue.take();
        if batches.is_empty() {
            if finished {
                return Ok(());
            }
            let limit = dispatcher.renew_title()?;
            bridge.queue.signal.wait(limit)?;
            dispatcher.check_fork()?;
            continue;
        }
        dispatcher.refresh_level()?;
        for batch in batches {
            dispatcher.answer(batch)?;
        }
        dispatcher.renew_title()?;
        check_interrupts()?;
    }
}

/// Logs what is still in the queue when `run` ends early.
pub fn flush(bridge: &Bridge, handler: Value) {
    for event in bridge.queue.take().into_iter().flat_map(|batch| batch.events) {
        if let Event::Line { severity, text } = event {
            let _ = log(handler, severity, text);
        }
    }
}

fn log(handler: Value, severity: Severity, text: String) -> Result<(), Error> {
    let method = match severity {
        Severity::Info => "info",
        Severity::Warn => "warn",
        Severity::Error => "error",
    };
    handler.funcall::<_, _, Value>(method, (text,))?;
    Ok(())
}

struct Dispatcher<'a> {
    ruby: &'a Ruby,
    bridge: &'a Arc<Bridge>,
    handler: Value,
    reader: Reader,
    generation: u64,
    title_renewed: Option<Instant>,
}

impl Dispatcher<'_> {
    fn answer(&mut self, batch: Batch) -> Result<(), Error> {
        let origin = batch.origin.as_ref();
        let mut answers = Answers::default();
        let mut delivered = Instant::now();
        for event in batch.events {
            match event {
                Event::Question { client, data, answer } => {
                    if answer.is_closed() {
                        continue; // The client has left.
                    }
                    let text = self.ruby.str_from_slice(&data);
                    drop(data); // Lets the connection append its next chunk in place.
                    let verdict = self.decide(Peer(&client), text.as_value())?;
                    self.check_fork()?;
                    answers.push(answer, verdict);
                }
                Event::Line { severity, text } => log(self.handler, severity, text)?,
                Event::Failure { callback, remote, done } => {
                    let name = match callback {
                        Callback::ConnectError => "connect_error",
                        Callback::InactivityError => "inactivity_error",
                    };
                    self.handler.funcall::<_, _, Value>(name, (remote,))?;
                    self.check_fork()?;
                    let _ = done.send(());
                }
            }
            // One slow block must not keep the answers of the others.
            if delivered.elapsed() > DELIVERY_PERIOD {
                answers.deliver(origin);
                delivered = Instant::now();
                self.renew_title()?;
            }
        }
        answers.deliver(origin);
        Ok(())
    }

    /// Asks the block, and logs what it answered.
    fn decide(&self, client: Peer<'_>, data: Value) -> Result<Verdict, Error> {
        let answer: Value = match self.handler.funcall("route", (data,)) {
            Ok(answer) => answer,
            Err(error) => return self.raised(error),
        };
        if self.bridge.info.load(Relaxed) {
            self.handler.funcall::<_, _, Value>("answered", (client.to_string(), answer))?;
        }
        match self.reader.read(answer) {
            Ok(verdict) => return Ok(verdict),
            Err(Refusal::Raised(error)) => return self.raised(error),
            Err(Refusal::Invalid) => {
                self.handler.funcall::<_, _, Value>("invalid_answer", (client.to_string(), answer))?
            }
            Err(Refusal::Remote(remote, reason)) => {
                let arguments = (client.to_string(), remote, reason);
                self.handler.funcall::<_, _, Value>("invalid_remote", arguments)?
            }
        };
        Ok(Verdict::Close(None))
    }

    /// The handler logs the exception of a block, or raises it again if it must end the server.
    fn raised(&self, error: Error) -> Result<Verdict, Error> {
        match error.value() {
            Some(exception) => {
                self.handler.funcall::<_, _, Value>("raised", (exception,))?;
                Ok(Verdict::Close(None))
            }
            None => Err(error), // Thread#kill, or a throw to somewhere outside of run.
        }
    }

    /// Follows a LOGGER that was reassigned or whose level was changed.
    fn refresh_level(&self) -> Result<(), Error> {
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
