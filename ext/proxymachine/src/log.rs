//! The log's lines, in order, a batch at a time.
//!
//! Whatever the constant `LOGGER` is when lines are written gets them. If that is a plain `Logger`
//! with the default format, the lines are formatted here, as Ruby's `Logger::Formatter` does it, and
//! handed over in one piece; any other logger gets them one by one.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use magnus::value::ReprValue;
use magnus::{Error, Value};

/// Of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Info,
    Warn,
    Error,
}

/// What is to be logged, and when it happened.
pub struct Line {
    severity: Severity,
    time: SystemTime,
    text: String,
}

impl Line {
    /// Happens now.
    pub fn new(severity: Severity, text: String) -> Self {
        Self { severity, time: SystemTime::now(), text }
    }
}

/// Writes lines on the Ruby thread.
pub struct Log {
    /// A second since the epoch and how Ruby writes it: local time is Ruby's business.
    second: (u64, String),
    pid: u32,
}

impl Log {
    pub fn new() -> Self {
        Self { second: (0, String::new()), pid: std::process::id() }
    }

    /// Writes `lines`, and leaves none.
    ///
    /// # Errors
    /// Only what must end the server; a logger that fails costs its lines.
    pub fn write(&mut self, lines: &mut Vec<Line>, handler: Value) -> Result<(), Error> {
        if lines.is_empty() {
            return Ok(());
        }
        if handler.funcall("plain_log?", ())? {
            let mut text = String::with_capacity(lines.len() * 128);
            for line in lines.drain(..) {
                self.format(&mut text, &line, handler)?;
            }
            handler.funcall::<_, _, Value>("write", (text,))?;
        } else {
            for line in lines.drain(..) {
                let method = match line.severity {
                    Severity::Info => "info",
                    Severity::Warn => "warn",
                    Severity::Error => "error",
                };
                handler.funcall::<_, _, Value>(method, (line.text,))?;
            }
        }
        Ok(())
    }

    /// `I, [2026-01-31T12:00:00.000000 #4711]  INFO -- : text`
    fn format(&mut self, out: &mut String, line: &Line, handler: Value) -> Result<(), Error> {
        let since_epoch = line.time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let second = since_epoch.as_secs();
        if self.second.0 != second {
            self.second = (second, handler.funcall("second", (second,))?);
        }
        let (letter, name) = match line.severity {
            Severity::Info => ('I', " INFO"),
            Severity::Warn => ('W', " WARN"),
            Severity::Error => ('E', "ERROR"),
        };
        let (time, micros, pid) = (&self.second.1, since_epoch.subsec_micros(), self.pid);
        let text = &line.text;
        // Writing to memory does not fail.
        let _ = writeln!(out, "{letter}, [{time}.{micros:06} #{pid}] {name} -- : {text}");
        Ok(())
    }
}
