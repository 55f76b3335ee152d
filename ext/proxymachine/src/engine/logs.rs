//! The methods of `ProxyMachine::Engine` about the log, the access log and recordings.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use magnus::{Error, Module, Object, RClass, Ruby, Value, function, method};
use proxymachine_engine::error::plain;

use super::Engine;
use crate::event::Event;
use crate::handler::Handler;
use crate::log::{Line, Log, Severity, count_dropped};
use crate::{error, gvl, lock};

impl Engine {
    /// `open_access_log(path, json, ids)`: opens the access log (a path, "-" for the standard output, nil for
    /// none) and chooses JSON or text for all lines, and whether text lines have the connection's identifier.
    fn open_access_log(
        ruby: &Ruby,
        this: &Self,
        path: Option<String>,
        is_json: bool,
        shows_id: bool,
    ) -> Result<(), Error> {
        let shared = Arc::clone(&this.shared);
        this.shared.shows_id.store(shows_id, Relaxed);
        this.shared.is_json.store(is_json, Relaxed);
        let name = path.clone().unwrap_or_default();
        // A FIFO without a reader and a file system that does not answer block open(2).
        let opened = gvl::without_holding_up(ruby, move || shared.access_log.open(path, is_json))?;
        let opened = opened.and_then(|()| match this.control.get() {
            Some(_) => gvl::without_signals(|| this.shared.access_log.start(&this.shared.mailbox)),
            None => Ok(()),
        });
        let failed = |error| format!("cannot write the access log {name}: {}", plain(&error));
        opened.map_err(|error| error::new(ruby, "StartError", failed(error)))
    }

    /// `reopen_access_log`: reopens the file of the access log.
    fn reopen_access_log(ruby: &Ruby, this: &Self) -> Result<(), Error> {
        let failed = |error| format!("cannot write the access log: {}", plain(&error));
        let shared = Arc::clone(&this.shared);
        let reopened = gvl::without_holding_up(ruby, move || shared.access_log.reopen())?;
        reopened.map_err(|error| error::new(ruby, "StartError", failed(error)))
    }

    /// `record(directory)`: records the first bytes of clients that get no server in a directory; nil ends that.
    fn record(ruby: &Ruby, this: &Self, directory: Option<String>) -> Result<(), Error> {
        this.shared.recorder.open(directory);
        match this.control.get() {
            Some(_) => gvl::without_signals(|| this.shared.recorder.start(&this.shared.mailbox))
                .map_err(|error| error::start(ruby, &error.into())),
            None => Ok(()),
        }
    }

    /// `flush(handler)`: writes the log lines that wait for `run`, or that `run` left when it ended early.
    fn flush(&self, handler: Value) -> Result<(), Error> {
        let mut lines = std::mem::take(&mut *lock(&self.unwritten_lines));
        lines.extend(self.shared.mailbox.take_lines());
        Log::new().write(&mut lines, Handler::new(handler))
    }

    /// `warn(line)`: sends a WARN line to the log. Safe in a trap.
    fn warn(&self, text: String) {
        self.shared.mailbox.send(vec![Event::Line(Line::new(Severity::Warn, text))]);
    }

    /// `Engine.count_dropped_lines(count)`: counts log lines that are lost.
    fn count_dropped_lines(count: u64) {
        count_dropped(count);
    }
}

/// Defines the methods.
pub fn init(class: RClass) -> Result<(), Error> {
    class.define_method("open_access_log", method!(Engine::open_access_log, 3))?;
    class.define_method("reopen_access_log", method!(Engine::reopen_access_log, 0))?;
    class.define_method("record", method!(Engine::record, 1))?;
    class.define_method("flush", method!(Engine::flush, 1))?;
    class.define_method("warn", method!(Engine::warn, 1))?;
    class.define_singleton_method("count_dropped_lines", function!(Engine::count_dropped_lines, 1))
}
