//! The access log: one line for each connection that has ended. A thread of its own writes the lines, so that
//! a slow block does not delay the log, and a slow disk delays neither the engine threads nor the Ruby
//! threads.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use proxymachine_engine::error::plain;
use proxymachine_engine::tls::TlsInfo;
use proxymachine_engine::{Client, ConnectionRecord, Reason, Upstream};
use serde::Serialize;

use crate::access_file::AccessFile;
use crate::event::Event;
use crate::lock;
use crate::log::{Line, Severity, count_dropped, printable};
use crate::mailbox::Mailbox;

/// Bytes that may wait for a slow disk or reader. Further lines are dropped.
const MAX_BUFFER: usize = 4 * 1024 * 1024;

/// Time that the thread collects lines before it writes, since a wake-up costs more than a line.
const FLUSH_DELAY: Duration = Duration::from_millis(20);

/// Time limit for the last lines when the engine ends.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

/// Interval between two warnings that the file cannot be written.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// The access log, which may be off.
#[derive(Default)]
pub struct AccessLog {
    shared: Arc<Shared>,
    /// Path of the file; None while the log is off.
    path: Mutex<Option<String>>,
}

#[derive(Default)]
struct Shared {
    is_on: AtomicBool,
    is_json: AtomicBool,
    buffer: Mutex<Buffer>,
    /// Notified for the first line in the buffer, and when the log is closed.
    wake: Condvar,
    /// Notified when the thread has ended.
    ended: Condvar,
    file: Mutex<Option<Arc<AccessFile>>>,
}

#[derive(Default)]
struct Buffer {
    text: Vec<u8>,
    lines: u64,
    /// Lines that are lost since the last warning about them.
    lost: u64,
    is_running: bool,
    /// Time until which the last lines may be written. None while the log is open.
    closed: Option<Instant>,
}

impl AccessLog {
    /// Directs the log to a file, or to the standard output if `path` is `-`. None turns the log off; the lines that
    /// wait are still written.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened. The log then stays as it was.
    pub fn open(&self, path: Option<String>, is_json: bool) -> io::Result<()> {
        let mut current = lock(&self.path);
        if *current != path {
            let opened = path.as_deref().map(AccessFile::open).transpose()?;
            let mut file = lock(&self.shared.file);
            if let Some(opened) = opened {
                *file = Some(Arc::new(opened));
            }
            self.shared.is_on.store(path.is_some(), Relaxed);
            *current = path;
        }
        self.shared.is_json.store(is_json, Relaxed);
        self.shared.wake.notify_one(); // Closes the file if the log is off.
        Ok(())
    }

    /// Reopens the file by its path.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened. The log then keeps the old file.
    pub fn reopen(&self) -> io::Result<()> {
        if let Some(path) = &*lock(&self.path) {
            *lock(&self.shared.file) = Some(Arc::new(AccessFile::open(path)?));
        }
        Ok(())
    }

    /// Starts the thread, unless the thread runs already or the log is off. Its warnings go to `mailbox`.
    ///
    /// # Errors
    /// Returns an error if the thread cannot be created.
    pub fn start(&self, mailbox: &Arc<Mailbox>) -> io::Result<()> {
        let mut buffer = lock(&self.shared.buffer);
        if self.is_on() && !buffer.is_running {
            let shared = Arc::clone(&self.shared);
            let mut warnings = Warnings { mailbox: Arc::clone(mailbox), last: None };
            let write = move || shared.write_lines(&mut warnings);
            thread::Builder::new().name("proxymachine log".into()).spawn(write)?;
            buffer.is_running = true;
        }
        Ok(())
    }

    /// Returns whether the log is on.
    pub fn is_on(&self) -> bool {
        self.shared.is_on.load(Relaxed)
    }

    /// Adds the line of a connection to the buffer. Does not block on the disk.
    pub fn post(&self, client: &Client, record: &ConnectionRecord) {
        let mut buffer = lock(&self.shared.buffer);
        if buffer.text.len() > MAX_BUFFER {
            buffer.lose(1);
            return;
        }
        // Writing to memory does not fail.
        let _ = if self.shared.is_json.load(Relaxed) {
            serde_json::to_writer(&mut buffer.text, &JsonRecord::new(client, record)).map_err(io::Error::from)
        } else {
            write_text(&mut buffer.text, client, record)
        };
        buffer.text.push(b'\n');
        buffer.lines += 1;
        if buffer.lines == 1 {
            self.shared.wake.notify_one();
        }
    }

    /// Waits, for a limited time, until all lines are written, and ends the thread.
    pub fn finish(&self) {
        let mut buffer = lock(&self.shared.buffer);
        buffer.closed = Some(Instant::now() + FINISH_TIMEOUT);
        self.shared.wake.notify_one();
        let _ = self.shared.ended.wait_timeout_while(buffer, FINISH_TIMEOUT, |buffer| buffer.is_running);
    }
}

impl Buffer {
    fn lose(&mut self, lines: u64) {
        self.lost += lines;
        count_dropped(lines);
    }
}

/// Warnings about the access log.
struct Warnings {
    mailbox: Arc<Mailbox>,
    /// Time of the last warning that the file cannot be written.
    last: Option<Instant>,
}

impl Warnings {
    fn cannot_write(&mut self, error: &io::Error) {
        if self.last.is_none_or(|then| then.elapsed() >= WARN_INTERVAL) {
            self.last = Some(Instant::now());
            self.warn(format!("Cannot write the access log: {}.", plain(error)));
        }
    }

    fn lost(&mut self, lines: u64) {
        self.last = None;
        self.warn(format!("Lost {lines} lines of the access log, which could not be written in time."));
    }

    fn warn(&self, text: String) {
        self.mailbox.send(vec![Event::Line(Line::new(Severity::Warn, text))]);
    }
}

impl Shared {
    /// Closes the file if the log is off.
    fn close_if_off(&self) {
        let mut file = lock(&self.file);
        if !self.is_on.load(Relaxed) {
            *file = None;
        }
    }

    /// Writes lines on the thread of the log until the log is closed.
    fn write_lines(&self, warnings: &mut Warnings) {
        let mut text = Vec::new();
        loop {
            let mut buffer = lock(&self.buffer);
            while buffer.lines == 0 && buffer.closed.is_none() {
                self.close_if_off();
                buffer = self.wake.wait(buffer).unwrap_or_else(PoisonError::into_inner);
            }
            // More lines usually follow.
            let may_wait =
                |buffer: &mut Buffer| buffer.closed.is_none() && buffer.text.len() < MAX_BUFFER / 4;
            let (mut buffer, _) = self
                .wake
                .wait_timeout_while(buffer, FLUSH_DELAY, may_wait)
                .unwrap_or_else(PoisonError::into_inner);
            if buffer.lines == 0 {
                buffer.is_running = false;
                self.ended.notify_all();
                return;
            }
            text.clear();
            mem::swap(&mut text, &mut buffer.text);
            buffer.lines = 0;
            drop(buffer);
            self.write(&text, warnings);
        }
    }

    /// Writes lines to the file of this moment. If the file is replaced while its reader stands still, the rest
    /// goes to the new one.
    fn write(&self, mut lines: &[u8], warnings: &mut Warnings) {
        while !lines.is_empty() {
            let Some(file) = lock(&self.file).clone() else {
                return self.lose_all(lines); // The log was turned off while a connection ended.
            };
            let is_current = || lock(&self.file).as_ref().is_some_and(|current| Arc::ptr_eq(current, &file));
            let has_time = || lock(&self.buffer).closed.is_none_or(|end| Instant::now() < end);
            match file.write(&mut lines, || is_current() && has_time()) {
                Ok(()) => {
                    let lost = mem::take(&mut lock(&self.buffer).lost);
                    if lost > 0 {
                        warnings.lost(lost);
                    }
                }
                Err(error) if error.kind() == ErrorKind::TimedOut && !is_current() && has_time() => {}
                Err(error) => {
                    warnings.cannot_write(&error);
                    return self.lose_all(lines);
                }
            }
        }
    }

    fn lose_all(&self, lines: &[u8]) {
        let lost = lines.iter().filter(|byte| **byte == b'\n').count();
        lock(&self.buffer).lose(lost as u64);
    }
}

/// Writes one line as text. docs/logs.md describes the format.
fn write_text(out: &mut Vec<u8>, client: &Client, record: &ConnectionRecord) -> io::Result<()> {
    let accepted = accepted_at(record);
    let endpoint = client.endpoint();
    let listener = field(endpoint.name().unwrap_or_else(|| endpoint.address()));
    let remote = record.remote().map_or_else(|| "-".to_owned(), field);
    let (waiting, block) = (record.waiting(), record.in_block());
    let (connecting, relaying) = (OrMinusOne(record.connecting()), OrMinusOne(record.relaying()));
    let (total, first) = (record.total(), OrMinusOne(record.first_byte()));
    let (up, down, code) = (record.to_backend(), record.to_client(), record.code().letters());
    let (retries, id) = (record.retries(), client.id());
    let reason = record.reason().map_or("-", Reason::word);
    let tls = client.tls();
    let client = field(client);
    write!(
        out,
        "{client} [{accepted}] {listener} {remote} {waiting}/{block}/{connecting}/{first}/{relaying}/{total} \
         {up}/{down} {code} {retries} {reason} {id}"
    )?;
    if let Some(tls) = tls {
        let sni = tls.sni.as_deref().map_or_else(|| "-".to_owned(), field);
        write!(out, " {} {} {sni}", tls.version.name(), tls.cipher)?;
    }
    match record.upstream() {
        Some(upstream) => write!(out, " {}/{}", field(upstream), record.queued()),
        None => Ok(()),
    }
}

fn accepted_at(record: &ConnectionRecord) -> humantime::Rfc3339Timestamp {
    let accepted = SystemTime::now().checked_sub(Duration::from_millis(record.total()));
    humantime::format_rfc3339_millis(accepted.unwrap_or(SystemTime::UNIX_EPOCH))
}

/// Returns a text as one word: blanks and control characters are escaped.
fn field(text: impl Display) -> String {
    printable(&text.to_string()).replace(' ', "\\x20")
}

/// Displays a number, or -1 for a phase that the connection did not reach, as in HAProxy's logs.
struct OrMinusOne(Option<u64>);

impl Display for OrMinusOne {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(number) => number.fmt(f),
            None => f.write_str("-1"),
        }
    }
}

/// A line as JSON.
#[derive(Serialize)]
struct JsonRecord<'a> {
    time: String,
    client: String,
    listener: &'a str,
    remote: Option<String>,
    waiting_ms: u64,
    block_ms: u64,
    connecting_ms: Option<u64>,
    first_byte_ms: Option<u64>,
    relaying_ms: Option<u64>,
    total_ms: u64,
    /// The upstream that was tried last.
    upstream: Option<&'a str>,
    /// Time of `connecting_ms` in the queue of an upstream, or until a server was started.
    queue_ms: u64,
    bytes_to_server: u64,
    bytes_to_client: u64,
    code: &'static str,
    reason: Option<&'static str>,
    retries: u32,
    connection: String,
    pid: u32,
    /// `None` without TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<JsonTls<'a>>,
}

/// A client's TLS connection as JSON.
#[derive(Serialize)]
struct JsonTls<'a> {
    version: &'static str,
    cipher: &'static str,
    key_exchange: Option<&'static str>,
    sni: Option<&'a str>,
    alpn: Option<String>,
    resumed: bool,
    has_certificate: bool,
}

impl<'a> JsonTls<'a> {
    fn new(tls: &'a TlsInfo) -> Self {
        Self {
            version: tls.version.name(),
            cipher: tls.cipher,
            key_exchange: tls.key_exchange,
            sni: tls.sni.as_deref(),
            alpn: tls.alpn.as_deref().map(|alpn| String::from_utf8_lossy(alpn).into_owned()),
            resumed: tls.is_resumed,
            has_certificate: !tls.chain.is_empty(),
        }
    }
}

impl<'a> JsonRecord<'a> {
    fn new(client: &'a Client, record: &'a ConnectionRecord) -> Self {
        let endpoint = client.endpoint();
        Self {
            time: accepted_at(record).to_string(),
            client: client.to_string(),
            listener: endpoint.name().unwrap_or_else(|| endpoint.address()),
            remote: record.remote().map(ToString::to_string),
            waiting_ms: record.waiting(),
            block_ms: record.in_block(),
            connecting_ms: record.connecting(),
            first_byte_ms: record.first_byte(),
            relaying_ms: record.relaying(),
            total_ms: record.total(),
            upstream: record.upstream().map(Upstream::name),
            queue_ms: record.queued(),
            bytes_to_server: record.to_backend(),
            bytes_to_client: record.to_client(),
            code: record.code().letters(),
            reason: record.reason().map(Reason::word),
            retries: record.retries(),
            connection: client.id().to_string(),
            pid: std::process::id(),
            tls: client.tls().map(JsonTls::new),
        }
    }
}
