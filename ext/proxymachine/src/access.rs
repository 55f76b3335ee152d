//! The access log: one line for each connection that has ended. A thread of its own writes it, so that neither an
//! engine's thread nor a block that sleeps keeps it back, nor a disk that is slow keeps back them.

use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::mem;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use proxymachine_engine::{Account, Client};
use serde::Serialize;

use crate::lock;
use crate::log::printable;

/// What may wait for a disk that is slow; further lines are lost.
const ROOM: usize = 4 * 1024 * 1024;

/// Lines are collected for so long, since what costs is waking the thread.
const PAUSE: Duration = Duration::from_millis(20);

/// How long the end waits for the last lines.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where lines go, if anywhere.
#[derive(Default)]
pub struct AccessLog {
    shared: Arc<Shared>,
    /// Where it is; None while it is off.
    path: Mutex<Option<String>>,
}

#[derive(Default)]
struct Shared {
    is_on: AtomicBool,
    is_json: AtomicBool,
    waiting: Mutex<Waiting>,
    /// Notified at the first line that waits, and at the end.
    wake: Condvar,
    /// Notified when the thread has ended.
    ended: Condvar,
    file: Mutex<Option<Arc<File>>>,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    text: Vec<u8>,
    lines: u64,
    is_running: bool,
    is_closed: bool,
}

impl AccessLog {
    /// From now on lines go to `path`, or to the standard output if that is `-`; None turns it off.
    ///
    /// # Errors
    /// When the file cannot be opened; then all stays as it was.
    pub fn open(&self, path: Option<String>, is_json: bool) -> io::Result<()> {
        let mut current = lock(&self.path);
        if *current != path {
            let file = path.as_deref().map(open).transpose()?;
            *lock(&self.shared.file) = file.map(Arc::new);
            *current = path;
        }
        self.shared.is_json.store(is_json, Relaxed);
        self.shared.is_on.store(current.is_some(), Relaxed);
        Ok(())
    }

    /// Opens the file once more, by its name.
    ///
    /// # Errors
    /// When it cannot be opened; then it is written on as before.
    pub fn reopen(&self) -> io::Result<()> {
        if let Some(path) = &*lock(&self.path) {
            *lock(&self.shared.file) = Some(Arc::new(open(path)?));
        }
        Ok(())
    }

    /// Starts the thread, unless there is one or nothing to do for it.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(&self) -> io::Result<()> {
        let mut waiting = lock(&self.shared.waiting);
        if self.is_on() && !waiting.is_running {
            let shared = Arc::clone(&self.shared);
            thread::Builder::new().name("proxymachine log".into()).spawn(move || shared.write())?;
            waiting.is_running = true;
        }
        Ok(())
    }

    pub fn is_on(&self) -> bool {
        self.shared.is_on.load(Relaxed)
    }

    /// Lines that were lost.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Relaxed)
    }

    /// Tells of a connection. Does not wait.
    pub fn post(&self, client: &Client, account: &Account) {
        let mut waiting = lock(&self.shared.waiting);
        if waiting.text.len() > ROOM {
            self.shared.dropped.fetch_add(1, Relaxed);
            return;
        }
        // Writing to memory does not fail.
        let _ = if self.shared.is_json.load(Relaxed) {
            serde_json::to_writer(&mut waiting.text, &Record::of(client, account)).map_err(io::Error::from)
        } else {
            write_text(&mut waiting.text, client, account)
        };
        waiting.text.push(b'\n');
        waiting.lines += 1;
        if waiting.lines == 1 {
            self.shared.wake.notify_one();
        }
    }

    /// Waits, not for ever, until all lines are written, and ends the thread.
    pub fn finish(&self) {
        let mut waiting = lock(&self.shared.waiting);
        waiting.is_closed = true;
        self.shared.wake.notify_one();
        let _ = self.shared.ended.wait_timeout_while(waiting, PATIENCE, |waiting| waiting.is_running);
    }
}

fn open(path: &str) -> io::Result<File> {
    if path == "-" {
        return Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?));
    }
    OpenOptions::new().append(true).create(true).open(path)
}

impl Shared {
    /// Runs on the thread.
    fn write(&self) {
        let mut text = Vec::new();
        loop {
            let waiting = lock(&self.waiting);
            let nothing = |waiting: &mut Waiting| waiting.lines == 0 && !waiting.is_closed;
            let waiting = self.wake.wait_while(waiting, nothing).unwrap_or_else(PoisonError::into_inner);
            // More is on its way, as a rule.
            let unfinished = |waiting: &mut Waiting| !waiting.is_closed && waiting.text.len() < ROOM / 4;
            let (mut waiting, _) = self
                .wake
                .wait_timeout_while(waiting, PAUSE, unfinished)
                .unwrap_or_else(PoisonError::into_inner);
            if waiting.lines == 0 {
                waiting.is_running = false;
                self.ended.notify_all();
                return;
            }
            text.clear();
            mem::swap(&mut text, &mut waiting.text);
            let lines = mem::take(&mut waiting.lines);
            drop(waiting);
            let file = lock(&self.file).clone();
            let written = file.map_or(Ok(()), |file| (&*file).write_all(&text));
            if written.is_err() {
                self.dropped.fetch_add(lines, Relaxed);
            }
        }
    }
}

/// One line as text: docs/logs.md.
fn write_text(out: &mut Vec<u8>, client: &Client, account: &Account) -> io::Result<()> {
    let accepted = accepted_at(account);
    let endpoint = client.endpoint();
    let listener = field(endpoint.name().unwrap_or_else(|| endpoint.address()));
    let remote = account.remote().map_or_else(|| "-".to_owned(), field);
    let (waiting, block) = (Unknown(account.waiting()), account.in_block());
    let (connecting, relaying) = (Unknown(account.connecting()), Unknown(account.relaying()));
    let (total, first) = (account.total(), Unknown(account.first_byte()));
    let (up, down, code) = (account.to_server(), account.to_client(), account.code().letters());
    let retries = account.retries();
    let client = field(client);
    write!(
        out,
        "{client} [{accepted}] {listener} {remote} {waiting}/{block}/{connecting}/{first}/{relaying}/{total} \
         {up}/{down} {code} {retries}"
    )
}

fn accepted_at(account: &Account) -> humantime::Rfc3339Timestamp {
    let accepted = SystemTime::now().checked_sub(Duration::from_millis(account.total()));
    humantime::format_rfc3339_millis(accepted.unwrap_or(SystemTime::UNIX_EPOCH))
}

/// One word: what has blanks or worse in it is escaped.
fn field(text: impl Display) -> String {
    printable(&text.to_string()).replace(' ', "\\x20")
}

/// -1 for what it did not come to, as in HAProxy's logs.
struct Unknown(Option<u64>);

impl Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(number) => number.fmt(f),
            None => f.write_str("-1"),
        }
    }
}

/// One line as JSON.
#[derive(Serialize)]
struct Record<'a> {
    time: String,
    client: String,
    listener: &'a str,
    remote: Option<String>,
    waiting_ms: Option<u64>,
    block_ms: u64,
    connecting_ms: Option<u64>,
    first_byte_ms: Option<u64>,
    relaying_ms: Option<u64>,
    total_ms: u64,
    bytes_to_server: u64,
    bytes_to_client: u64,
    code: &'static str,
    retries: u32,
    pid: u32,
}

impl<'a> Record<'a> {
    fn of(client: &'a Client, account: &Account) -> Self {
        let endpoint = client.endpoint();
        Self {
            time: accepted_at(account).to_string(),
            client: client.to_string(),
            listener: endpoint.name().unwrap_or_else(|| endpoint.address()),
            remote: account.remote().map(ToString::to_string),
            waiting_ms: account.waiting(),
            block_ms: account.in_block(),
            connecting_ms: account.connecting(),
            first_byte_ms: account.first_byte(),
            relaying_ms: account.relaying(),
            total_ms: account.total(),
            bytes_to_server: account.to_server(),
            bytes_to_client: account.to_client(),
            code: account.code().letters(),
            retries: account.retries(),
            pid: std::process::id(),
        }
    }
}
