//! Several processes shown as one: each of them answers at a Unix socket of its own, called as its process id, in one
//! directory. One that ends leaves what it has counted there, as `PID.last`.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::snapshot::{Connections, Listener, Slow, Snapshot, Source, State};

/// How long a process may take to answer. One that takes longer is shown as it was.
const TIMEOUT: Duration = Duration::from_millis(500);

/// So many slow decisions are shown.
const SLOW: usize = 20;

/// The sum of all processes that answer in a directory, and of those that did and are gone: so counters never fall.
#[derive(Debug)]
pub struct Gathered {
    directory: PathBuf,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    last: HashMap<PathBuf, Snapshot>,
    gone: Snapshot,
    peak: u64,
}

impl Gathered {
    /// Of the processes whose sockets are in `directory`.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), memory: Mutex::default() }
    }

    fn look(&self) -> MutexGuard<'_, Memory> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let files: Vec<PathBuf> = fs::read_dir(&self.directory)
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default();
        let (left, sockets): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|path| path.extension().is_some_and(|kind| kind == "last"));
        let mut answered = HashSet::new();
        for socket in sockets {
            if let Ok(snapshot) = ask(&socket) {
                memory.last.insert(socket.clone(), snapshot);
                answered.insert(socket);
            }
        }
        for file in &left {
            memory.take_leave(file);
        }
        let Memory { last, gone, .. } = &mut *memory;
        last.retain(|socket, snapshot| {
            let is_there = answered.contains(socket) || is_alive(socket);
            if !is_there {
                add_gone(gone, snapshot);
                let _ = fs::remove_file(socket);
            }
            is_there
        });
        memory
    }
}

/// Whether its process has not ended yet: then it will say itself what it has counted.
fn is_alive(socket: &Path) -> bool {
    socket.file_name().is_some_and(|pid| Path::new("/proc").join(pid).exists())
}

impl Source for Gathered {
    fn snapshot(&self) -> Snapshot {
        let mut memory = self.look();
        let mut sum = memory.gone.clone();
        memory.last.values().for_each(|snapshot| add(&mut sum, snapshot));
        memory.peak = memory.peak.max(sum.connections.current);
        sum.connections.max = memory.peak;
        sum.connections.limit = memory.last.values().map(|snapshot| snapshot.connections.limit).sum();
        sum.state = memory.state();
        if let Some(one) = memory.last.values().next() {
            sum.program = one.program.clone();
            sum.settings.clone_from(&one.settings);
        }
        sum.program.pid = std::process::id();
        sum
    }

    fn state(&self) -> State {
        self.look().state()
    }
}

impl Memory {
    /// What a process left says more than the last look at it.
    fn take_leave(&mut self, file: &Path) {
        let read = fs::read(file).ok().and_then(|json| serde_json::from_slice::<Snapshot>(&json).ok());
        if fs::remove_file(file).is_err() {
            return; // It would count again.
        }
        let socket = file.with_extension("");
        let _ = fs::remove_file(&socket);
        let seen = self.last.remove(&socket);
        if let Some(mut snapshot) = read.or(seen) {
            add_gone(&mut self.gone, &mut snapshot);
        }
    }

    /// One that serves is enough.
    fn state(&self) -> State {
        let has = |state| self.last.values().any(|snapshot| snapshot.state == state);
        [State::Running, State::Draining].into_iter().find(|state| has(*state)).unwrap_or(State::Starting)
    }
}

/// What a process says about itself.
fn ask(socket: &Path) -> io::Result<Snapshot> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET /status.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    Ok(serde_json::from_slice(&answer[head + 4..])?)
}

impl Snapshot {
    /// What another process counted, for this one to go on from; not its connections, which are counted apart.
    pub fn carry(&mut self, mut before: Self) {
        close_all(&mut before);
        before.connections = Connections::default();
        add(self, &before);
    }

    /// The same, where nobody else counts its connections.
    pub fn carry_all(&mut self, before: Self) {
        let Connections { max, total, .. } = before.connections;
        self.carry(before);
        self.connections.total += total;
        self.connections.max = self.connections.max.max(max);
    }
}

fn add_gone(gone: &mut Snapshot, snapshot: &mut Snapshot) {
    close_all(snapshot);
    add(gone, snapshot);
}

/// Nothing is open any more.
fn close_all(snapshot: &mut Snapshot) {
    snapshot.connections.current = 0;
    snapshot.listeners.iter_mut().for_each(|listener| listener.current = 0);
    snapshot.remotes.iter_mut().for_each(|remote| remote.current = 0);
}

fn add(sum: &mut Snapshot, one: &Snapshot) {
    sum.connections.current += one.connections.current;
    sum.connections.total += one.connections.total;
    if let Some(dropped) = one.log_lines_dropped {
        *sum.log_lines_dropped.get_or_insert(0) += dropped;
    }
    for listener in &one.listeners {
        let is_same =
            |other: &&mut Listener| (&other.name, &other.address) == (&listener.name, &listener.address);
        match sum.listeners.iter_mut().find(is_same) {
            Some(other) => other.add(listener),
            None => sum.listeners.push(listener.clone()),
        }
    }
    for remote in &one.remotes {
        match sum.remotes.iter_mut().find(|other| other.name == remote.name) {
            Some(other) => other.add(remote),
            None => sum.remotes.push(remote.clone()),
        }
    }
    sum.slow.extend(one.slow.iter().cloned());
    sum.slow.sort_by(|one: &Slow, other| other.at.total_cmp(&one.at));
    sum.slow.truncate(SLOW);
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;
    use crate::snapshot::Histogram;

    fn process(current: u64, total: u64, state: State) -> Snapshot {
        let connections = Connections { current, max: current, total, limit: Some(100) };
        let block_time = Histogram { bounds: vec![0.1].into(), counts: vec![total, 1], sum: 0.5 };
        let listener =
            Listener { name: "web".into(), accepted: total, current, block_time, ..Listener::default() };
        Snapshot { connections, state, listeners: vec![listener], ..Snapshot::default() }
    }

    /// Answers once, then is gone.
    fn answering(path: &Path, snapshot: &Snapshot) -> thread::JoinHandle<()> {
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
    fn what_another_process_counted_is_added_but_for_its_connections() {
        let mut now = process(1, 5, State::Running);
        now.carry(process(7, 30, State::Draining));
        assert_eq!((now.connections.current, now.connections.total, now.state), (1, 5, State::Running));
        assert_eq!((now.listeners[0].current, now.listeners[0].accepted), (1, 35));
        now.carry_all(process(7, 30, State::Draining));
        assert_eq!((now.connections.current, now.connections.max, now.connections.total), (1, 7, 35));
    }

    #[test]
    fn processes_are_summed_and_what_they_counted_stays_when_they_are_gone() {
        let directory = std::env::temp_dir().join(format!("proxymachine-gather-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let gathered = Gathered::new(&directory);
        assert_eq!(gathered.state(), State::Starting);

        // No process has such an id.
        let one = answering(&directory.join("4194305"), &process(2, 10, State::Running));
        let other = answering(&directory.join("4194306"), &process(3, 20, State::Draining));
        let sum = gathered.snapshot();
        one.join().unwrap();
        other.join().unwrap();
        assert_eq!(sum.state, State::Running);
        let Connections { current, max, total, limit } = sum.connections;
        assert_eq!((current, max, total, limit), (5, 5, 30, Some(200)));
        assert_eq!(sum.listeners.len(), 1);
        assert_eq!(sum.listeners[0].block_time.counts, [30, 2]);

        let last = serde_json::to_vec(&process(1, 21, State::Draining)).unwrap();
        fs::write(directory.join("4194306.last"), last).unwrap();
        let sum = gathered.snapshot();
        assert_eq!((sum.connections.current, sum.connections.max, sum.connections.total), (0, 5, 31));

        fs::write(directory.join("4194307.last"), "{").unwrap();
        let sum = gathered.snapshot();
        fs::remove_dir(&directory).unwrap();
        assert_eq!((sum.connections.current, sum.connections.max, sum.connections.total), (0, 5, 31));
        assert_eq!((sum.listeners[0].current, sum.listeners[0].accepted), (0, 31));
    }
}
