//! Sums the counters of several worker processes. Each worker serves its snapshot on a Unix socket that is
//! named after its process id; all sockets are in one directory. A worker that exits leaves its last snapshot
//! there as `PID.last`.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::snapshot::{Snapshot, SnapshotSource, State};
use crate::upstreams;

/// Time limit for a worker's response. After a timeout, the worker's previous snapshot counts.
const TIMEOUT: Duration = Duration::from_millis(500);

/// The sum of all workers in a directory. Workers that have exited still count, so that counters never
/// decrease.
#[derive(Debug)]
pub struct WorkerAggregate {
    directory: PathBuf,
    workers: Mutex<Workers>,
}

#[derive(Debug, Default)]
struct Workers {
    /// The latest snapshot of each running worker, by its socket.
    running: HashMap<PathBuf, Snapshot>,
    /// Sum of the workers that have exited.
    exited: Snapshot,
    /// Peak of the open connections of all workers.
    peak: u64,
}

impl WorkerAggregate {
    /// Returns the sum of the workers whose sockets are in `directory`.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), workers: Mutex::default() }
    }

    /// Fetches all snapshots.
    fn refresh(&self) -> MutexGuard<'_, Workers> {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let files: Vec<PathBuf> = fs::read_dir(&self.directory)
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default();
        let (last, sockets): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|path| path.extension().is_some_and(|extension| extension == "last"));
        let mut answered = HashSet::new();
        for socket in sockets {
            if let Ok(snapshot) = fetch(&socket) {
                workers.running.insert(socket.clone(), snapshot);
                answered.insert(socket);
            }
        }
        for file in &last {
            workers.add_last_snapshot(file);
        }
        let Workers { running, exited, .. } = &mut *workers;
        running.retain(|socket, snapshot| {
            let is_running = answered.contains(socket) || is_alive(socket);
            if !is_running {
                exited.add_exited(snapshot);
                let _ = fs::remove_file(socket);
            }
            is_running
        });
        workers
    }
}

/// Returns whether the worker of a socket is alive. If so, the worker will write its last snapshot itself.
fn is_alive(socket: &Path) -> bool {
    socket.file_name().is_some_and(|pid| Path::new("/proc").join(pid).exists())
}

impl SnapshotSource for WorkerAggregate {
    fn snapshot(&self) -> Snapshot {
        let mut workers = self.refresh();
        let mut sum = workers.exited.clone();
        workers.running.values().for_each(|snapshot| sum.add(snapshot));
        workers.peak = workers.peak.max(sum.connections.current);
        sum.connections.max = workers.peak;
        upstreams::remove_gone(&mut sum.upstreams);
        let mut limits = workers.running.values().map(|snapshot| snapshot.connections.limit);
        sum.connections.limit = limits.try_fold(0, |sum: u64, limit| Some(sum.saturating_add(limit?)));
        sum.state = workers.state();
        if let Some(any) = workers.running.values().next() {
            sum.program = any.program.clone();
            sum.settings.clone_from(&any.settings);
        }
        sum.program.pid = std::process::id();
        sum
    }

    fn state(&self) -> State {
        self.refresh().state()
    }
}

impl Workers {
    /// Adds the snapshot that a worker wrote before it exited, which is newer than the last one that was
    /// fetched.
    fn add_last_snapshot(&mut self, file: &Path) {
        let written = fs::read(file).ok().and_then(|json| serde_json::from_slice::<Snapshot>(&json).ok());
        if fs::remove_file(file).is_err() {
            return; // The file would count again at the next refresh.
        }
        let socket = file.with_extension("");
        let _ = fs::remove_file(&socket);
        let fetched = self.running.remove(&socket);
        if let Some(mut snapshot) = written.or(fetched) {
            self.exited.add_exited(&mut snapshot);
        }
    }

    /// Returns `Running` if at least one worker is running, then `Draining` if at least one is draining.
    fn state(&self) -> State {
        let any = |state| self.running.values().any(|snapshot| snapshot.state == state);
        [State::Running, State::Draining].into_iter().find(|state| any(*state)).unwrap_or(State::Starting)
    }
}

/// Fetches the snapshot of one worker.
fn fetch(socket: &Path) -> io::Result<Snapshot> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET /status.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response)?;
    let head =
        response.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    Ok(serde_json::from_slice(&response[head + 4..])?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;
    use crate::failures::{Failure, Failures};
    use crate::snapshot::{Connections, Histogram, ListenerStats};

    fn snapshot(current: u64, total: u64, state: State) -> Snapshot {
        let connections = Connections { current, max: current, total, limit: Some(100) };
        let block_time = Histogram { bounds: vec![0.1].into(), counts: vec![total, 1], sum: 0.5 };
        let listener = ListenerStats {
            name: "web".into(),
            accepted: total,
            current,
            block_time,
            ..ListenerStats::default()
        };
        Snapshot { connections, state, listeners: vec![listener], ..Snapshot::default() }
    }

    /// Starts a worker that answers once and exits.
    fn worker(path: &Path, snapshot: &Snapshot) -> thread::JoinHandle<()> {
        let listener = UnixListener::bind(path).unwrap();
        let json = serde_json::to_string(snapshot).unwrap();
        let path = path.to_owned();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            stream.write_all(format!("HTTP/1.1 200 OK\r\n\r\n{json}").as_bytes()).unwrap();
            fs::remove_file(path).unwrap();
        })
    }

    #[test]
    fn carried_over_counters_leave_connections_alone_unless_asked() {
        let mut now = snapshot(1, 5, State::Running);
        now.carry_over(snapshot(7, 30, State::Draining));
        assert_eq!((now.connections.current, now.connections.total, now.state), (1, 5, State::Running));
        assert_eq!((now.listeners[0].current, now.listeners[0].accepted), (1, 35));
        let mut earlier = snapshot(7, 30, State::Draining);
        earlier.failures.add(Failure::default());
        now.carry_over_with_connections(earlier);
        assert_eq!(now.failures, Failures::default());
        assert_eq!((now.connections.current, now.connections.max, now.connections.total), (1, 7, 35));
    }

    #[test]
    fn exited_workers_still_count() {
        let directory = std::env::temp_dir().join(format!("proxymachine-aggregate-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let aggregate = WorkerAggregate::new(&directory);
        assert_eq!(aggregate.state(), State::Starting);

        // Process ids above the largest possible one, so that neither process exists.
        let one = worker(&directory.join("4194305"), &snapshot(2, 10, State::Running));
        let other = worker(&directory.join("4194306"), &snapshot(3, 20, State::Draining));
        let sum = aggregate.snapshot();
        one.join().unwrap();
        other.join().unwrap();
        assert_eq!(sum.state, State::Running);
        let Connections { current, max, total, limit } = sum.connections;
        assert_eq!((current, max, total, limit), (5, 5, 30, Some(200)));
        assert_eq!(sum.listeners.len(), 1);
        assert_eq!(sum.listeners[0].block_time.counts, [30, 2]);

        let last = serde_json::to_vec(&snapshot(1, 21, State::Draining)).unwrap();
        fs::write(directory.join("4194306.last"), last).unwrap();
        let sum = aggregate.snapshot();
        assert_eq!((sum.connections.current, sum.connections.max, sum.connections.total), (0, 5, 31));

        fs::write(directory.join("4194307.last"), "{").unwrap();
        let sum = aggregate.snapshot();
        fs::remove_dir(&directory).unwrap();
        assert_eq!((sum.connections.current, sum.connections.max, sum.connections.total), (0, 5, 31));
        assert_eq!((sum.listeners[0].current, sum.listeners[0].accepted), (0, 31));
    }
}
