//! The setting `record`: the first bytes of clients that got no server, as files. A thread of its own writes the files,
//! so that a slow disk delays neither the engine threads nor the Ruby threads.

pub mod recording;
mod store;

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use proxymachine_engine::error::plain;

use self::recording::Recording;
use self::store::{MAX_CONNECTIONS, Store};
use crate::event::Event;
use crate::lock;
use crate::log::{Line, Severity, printable};
use crate::mailbox::Mailbox;

/// Bytes that may wait for a slow disk. The oldest recordings are dropped first, as in the directory.
const MAX_WAITING: usize = 8 * 1024 * 1024;

/// Pause between two visits of the directory, each of which reads its list of files.
const WRITE_INTERVAL: Duration = Duration::from_millis(50);

/// Time limit for the last recordings when the engine ends.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

/// Records connections, if there is a directory.
#[derive(Default)]
pub struct Recorder(Arc<Shared>);

#[derive(Default)]
struct Shared {
    is_on: AtomicBool,
    queue: Mutex<Queue>,
    /// Notified for the first recording in the queue, for a new directory, and when the recorder is closed.
    wake: Condvar,
    /// Notified when the thread has ended.
    ended: Condvar,
}

#[derive(Default)]
struct Queue {
    directory: Option<String>,
    /// Whether the thread has not looked at the directory yet.
    is_new: bool,
    recordings: VecDeque<Recording>,
    bytes: usize,
    is_running: bool,
    /// Time until which the last recordings may be written. None while the recorder is open.
    closed: Option<Instant>,
}

impl Recorder {
    /// Chooses the directory; None ends the recording.
    pub fn open(&self, directory: Option<String>) {
        let mut queue = lock(&self.0.queue);
        if queue.directory == directory {
            return;
        }
        self.0.is_on.store(directory.is_some(), Relaxed);
        queue.is_new = directory.is_some();
        queue.directory = directory;
        self.0.wake.notify_one();
    }

    /// Starts the thread, unless the thread runs already or the recorder is off. Its warnings go to `mailbox`.
    ///
    /// # Errors
    /// Returns an error if the thread cannot be created.
    pub fn start(&self, mailbox: &Arc<Mailbox>) -> io::Result<()> {
        let mut queue = lock(&self.0.queue);
        if self.is_on() && !queue.is_running {
            let (shared, mailbox) = (Arc::clone(&self.0), Arc::clone(mailbox));
            thread::Builder::new()
                .name("proxymachine rec".into())
                .spawn(move || shared.write_recordings(&mailbox))?;
            queue.is_running = true;
        }
        Ok(())
    }

    /// Returns whether connections are recorded.
    pub fn is_on(&self) -> bool {
        self.0.is_on.load(Relaxed)
    }

    /// Adds a recording to the queue. Does not block on the disk.
    pub fn post(&self, recording: Recording) {
        let mut queue = lock(&self.0.queue);
        queue.bytes += recording.len();
        queue.recordings.push_back(recording);
        while queue.bytes > MAX_WAITING || queue.recordings.len() > MAX_CONNECTIONS {
            let Some(oldest) = queue.recordings.pop_front() else { break };
            queue.bytes -= oldest.len();
        }
        if queue.recordings.len() == 1 {
            self.0.wake.notify_one();
        }
    }

    /// Waits, for a limited time, until all recordings are written, and ends the thread.
    pub fn finish(&self) {
        let mut queue = lock(&self.0.queue);
        queue.closed = Some(Instant::now() + FINISH_TIMEOUT);
        self.0.wake.notify_one();
        let _ = self.0.ended.wait_timeout_while(queue, FINISH_TIMEOUT, |queue| queue.is_running);
    }
}

impl Shared {
    /// Writes recordings on the thread of the recorder until the recorder is closed.
    fn write_recordings(&self, mailbox: &Mailbox) {
        let mut has_warned = false;
        loop {
            let queue = lock(&self.queue);
            let is_idle =
                |queue: &mut Queue| queue.recordings.is_empty() && !queue.is_new && queue.closed.is_none();
            let mut queue = self.wake.wait_while(queue, is_idle).unwrap_or_else(PoisonError::into_inner);
            if queue.recordings.is_empty() && !queue.is_new {
                queue.is_running = false;
                self.ended.notify_all();
                return;
            }
            if mem::take(&mut queue.is_new) {
                has_warned = false;
            }
            let recordings = mem::take(&mut queue.recordings);
            queue.bytes = 0;
            let directory = queue.directory.clone();
            drop(queue);

            if let Some(directory) = directory {
                match Store::new(&directory).add(&recordings) {
                    Ok(()) => has_warned = false,
                    Err(error) if !has_warned => {
                        has_warned = true;
                        let text =
                            format!("Cannot record into {}: {}.", printable(&directory), plain(&error));
                        mailbox.send(vec![Event::Line(Line::new(Severity::Warn, text))]);
                    }
                    Err(_) => {}
                }
            }
            let queue = lock(&self.queue);
            let _ = self.wake.wait_timeout_while(queue, WRITE_INTERVAL, |queue| queue.closed.is_none());
        }
    }
}
