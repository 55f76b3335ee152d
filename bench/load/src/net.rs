//! Busy polling: calls `epoll_wait` without a timeout, on a core of its own.

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, event::Source};
use socket2::{Domain, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// A ready socket, and whether its peer has closed.
#[derive(Clone, Copy)]
pub struct Ready {
    pub token: usize,
    pub ended: bool,
}

/// The first token of the backend. Lower tokens are the clients' slots.
pub const BACKEND: usize = usize::MAX / 2;

pub struct Net {
    poll: Poll,
    events: Events,
    /// The time of polls without an event: the spare time of this process.
    pub spare: Duration,
}

impl Net {
    pub fn new() -> io::Result<Self> {
        let (poll, events) = (Poll::new()?, Events::with_capacity(1024));
        Ok(Self { poll, events, spare: Duration::ZERO })
    }

    /// Collects ready sockets (edge-triggered) in `ready`. A `wait` of zero never sleeps.
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

    /// Connects from the local address `source`.
    pub fn connect_from(&self, source: Ipv4Addr, target: SocketAddr, token: usize) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        bind_address_no_port(&socket)?;
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        match socket.connect(&target.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        let mut socket = TcpStream::from_std(socket.into());
        self.add(&mut socket, token)?;
        Ok(socket)
    }
}

/// Leaves the choice of the port to connect(2) (ip(7), `IP_BIND_ADDRESS_NO_PORT`). bind(2) would take milliseconds for it
/// while thousands of ports are in TIME-WAIT.
pub fn bind_address_no_port(socket: &Socket) -> io::Result<()> {
    let on: libc::c_int = 1;
    let size = size_of_val(&on) as libc::socklen_t;
    // SAFETY: the descriptor is open, and the option takes an int.
    let set = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size,
        )
    };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The result of a non-blocking operation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Waits for the next event.
    Wait,
    /// Could continue at once, but has used up its turn.
    Again,
    Done,
}

/// Returns `Ok(None)` if the socket would block or is not connected yet.
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
