//! Readiness without sleep: epoll asked again and again on a core of its own.

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, event::Source};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A socket that has become ready, and whether its other side has ended.
#[derive(Clone, Copy)]
pub struct Ready {
    pub token: usize,
    pub ended: bool,
}

/// Tokens from here on belong to the backend; those below to clients, by slot.
pub const BACKEND: usize = usize::MAX / 2;

pub struct Net {
    poll: Poll,
    events: Events,
    /// Time in rounds that found nothing to do: what this process has to spare.
    pub spare: Duration,
}

impl Net {
    pub fn new() -> io::Result<Self> {
        let (poll, events) = (Poll::new()?, Events::with_capacity(1024));
        Ok(Self { poll, events, spare: Duration::ZERO })
    }

    /// Puts those that have become ready (edge-triggered) into `ready`; with a zero `wait` never sleeps.
    pub fn poll(&mut self, wait: Duration, ready: &mut Vec<Ready>) -> io::Result<Instant> {
        ready.clear();
        let asked = Instant::now();
        if let Err(e) = self.poll.poll(&mut self.events, Some(wait)) {
            if e.kind() != ErrorKind::Interrupted {
                return Err(e);
            }
        }
        ready.extend(self.events.iter().map(|e| Ready { token: e.token().0, ended: e.is_read_closed() }));
        let now = Instant::now();
        if ready.is_empty() {
            self.spare += now - asked;
        }
        Ok(now)
    }

    pub fn add(&self, socket: &mut impl Source, token: usize) -> io::Result<()> {
        self.poll.registry().register(socket, Token(token), Interest::READABLE | Interest::WRITABLE)
    }

    pub fn connect(&self, target: SocketAddr, token: usize) -> io::Result<TcpStream> {
        let mut socket = TcpStream::connect(target)?;
        self.add(&mut socket, token)?;
        Ok(socket)
    }
}

/// How far a non-blocking operation came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing more to do until the next event.
    Wait,
    /// More could be done at once; others first.
    Again,
    Done,
}

/// `Ok(None)` where the socket would block or is not connected yet.
pub fn attempt(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(n) => Ok(Some(n)),
        Err(e)
            if matches!(
                e.kind(),
                ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::NotConnected
            ) =>
        {
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

pub fn broken(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.to_owned())
}
