//! Writes log lines to `LOGGER`, in order and in batches.
//!
//! The lines go to the current value of the constant `LOGGER`. For a plain `Logger` with the default format,
//! the lines are formatted here, as Ruby's `Logger::Formatter` does, and written in one piece. Any other
//! logger gets the lines one by one. With `log_format :json`, a plain `Logger` has the formatter of
//! ProxyMachine; the lines are then formatted here like that formatter does, with more fields.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use magnus::Error;

use crate::handler::Handler;

/// Severity of a log line; the numbers are those of Ruby's `Logger::Severity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Info = 1,
    Warn,
    Error,
}

impl Severity {
    /// Returns the name of the logger's method.
    pub fn method(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Log lines of this process that were lost.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Counts lines that are lost.
pub fn count_dropped(lines: u64) {
    DROPPED.fetch_add(lines, Relaxed);
}

/// Returns the number of lines of this process that were lost.
pub fn dropped() -> u64 {
    DROPPED.load(Relaxed)
}

/// A log line and the time of its event.
pub struct Line {
    severity: Severity,
    time: SystemTime,
    text: String,
    fields: Fields,
}

/// Fields of a JSON log line; None for a text line.
pub type Fields = Option<Box<[(&'static str, String)]>>;

impl Line {
    /// Returns a line about an event that happens now.
    pub fn new(severity: Severity, text: String) -> Self {
        Self { severity, time: SystemTime::now(), text, fields: None }
    }

    /// Adds fields.
    pub fn with(mut self, fields: Fields) -> Self {
        self.fields = fields;
        self
    }
}

/// Writes lines on the Ruby thread.
pub struct Log {
    /// The last second since the epoch and its local time, as Ruby formats it.
    second: (u64, String),
    pid: u32,
}

impl Log {
    pub fn new() -> Self {
        Self { second: (0, String::new()), pid: std::process::id() }
    }

    /// Writes and removes all `lines`.
    ///
    /// # Errors
    /// Returns only what must end the server. If the logger fails, the lines are lost.
    pub fn write(&mut self, lines: &mut Vec<Line>, handler: Handler) -> Result<(), Error> {
        if lines.is_empty() {
            return Ok(());
        }
        if let Some((is_json, min_severity)) = handler.log_plan()? {
            let mut text = String::with_capacity(lines.len() * 128);
            for line in lines.drain(..).filter(|line| line.severity as u8 >= min_severity) {
                if is_json {
                    self.format_json(&mut text, &line);
                } else {
                    self.format(&mut text, &line, handler)?;
                }
            }
            if !text.is_empty() {
                handler.write(text)?;
            }
        } else {
            handler.log(lines.drain(..).map(|line| (line.severity, line.text)))?;
        }
        Ok(())
    }

    /// `I, [2026-01-31T12:00:00.000000 #4711]  INFO -- : text`
    fn format(&mut self, out: &mut String, line: &Line, handler: Handler) -> Result<(), Error> {
        let since_epoch = line.time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let second = since_epoch.as_secs();
        if self.second.0 != second {
            self.second = (second, handler.second(second)?);
        }
        let (letter, name) = match line.severity {
            Severity::Info => ("I, [", " INFO -- : "),
            Severity::Warn => ("W, [", " WARN -- : "),
            Severity::Error => ("E, [", "ERROR -- : "),
        };
        // Most parts are copied, which takes less time than formatting them.
        out.push_str(letter);
        out.push_str(&self.second.1);
        // Writing to memory does not fail.
        let _ = write!(out, ".{:06} #{}] ", since_epoch.subsec_micros(), self.pid);
        out.push_str(name);
        out.push_str(&line.text);
        out.push('\n');
        Ok(())
    }

    /// `{"time":"2026-01-31T12:00:00.000000Z","level":"INFO","pid":4711,"message":"text","client":"…"}`
    fn format_json(&self, out: &mut String, line: &Line) {
        let level = match line.severity {
            Severity::Info => "INFO",
            Severity::Warn => "WARN",
            Severity::Error => "ERROR",
        };
        let time = humantime::format_rfc3339_micros(line.time);
        let quoted = |text: &str| serde_json::Value::from(text);
        // Writing to memory does not fail.
        let _ = write!(
            out,
            r#"{{"time":"{time}","level":"{level}","pid":{},"message":{}"#,
            self.pid,
            quoted(&line.text)
        );
        for (name, value) in line.fields.iter().flatten() {
            let _ = write!(out, r#","{name}":{}"#, quoted(value));
        }
        out.push_str("}\n");
    }
}

/// Escapes control characters, so that a log line stays one line and cannot control a terminal.
pub fn printable(text: &str) -> String {
    let is_control = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let escape = |c: char| if is_control(c) { c.escape_default().to_string() } else { c.to_string() };
    if text.chars().any(is_control) { text.chars().map(escape).collect() } else { text.to_owned() }
}
