//! The log's lines, in order, a batch at a time.
//!
//! Whatever the constant `LOGGER` is when lines are written gets them. If that is a plain `Logger`
//! with the default format, the lines are formatted here, as Ruby's `Logger::Formatter` does it, and
//! handed over in one piece; any other logger gets them one by one. With `log_format :json` a plain `Logger` has a
//! formatter of ours, and the lines are formatted as that does it, with more fields.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use magnus::value::ReprValue;
use magnus::{Error, Value};

/// Of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// As in Ruby's `Logger::Severity`.
    Info = 1,
    Warn,
    Error,
}

/// What is to be logged, and when it happened.
pub struct Line {
    severity: Severity,
    time: SystemTime,
    text: String,
    fields: Fields,
}

/// What a line is about, for machines. None where nobody wants to know.
pub type Fields = Option<Box<[(&'static str, String)]>>;

impl Line {
    /// Happens now.
    pub fn new(severity: Severity, text: String) -> Self {
        Self { severity, time: SystemTime::now(), text, fields: None }
    }

    pub fn with(mut self, fields: Fields) -> Self {
        self.fields = fields;
        self
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
        // nil, or the format, and the least severity.
        if let Some((is_json, least)) = handler.funcall::<_, _, Option<(bool, u8)>>("log_plan", ())? {
            let mut text = String::with_capacity(lines.len() * 128);
            for line in lines.drain(..).filter(|line| line.severity as u8 >= least) {
                if is_json {
                    self.format_json(&mut text, &line);
                } else {
                    self.format(&mut text, &line, handler)?;
                }
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

/// Control characters escaped: a log line stays one line, and harmless to a terminal.
pub fn printable(text: &str) -> String {
    let is_odd = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let escape = |c: char| if is_odd(c) { c.escape_default().to_string() } else { c.to_string() };
    if text.chars().any(is_odd) { text.chars().map(escape).collect() } else { text.to_owned() }
}
