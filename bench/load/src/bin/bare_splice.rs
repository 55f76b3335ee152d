//! A minimal relay that copies nothing: one thread, epoll, and a pipe for each direction, through which splice(2) moves
//! the data; no routing, no timeouts, no log. The lower bound for bulk. `bare_splice PORT BACKEND PIPE_BYTES` listens and
//! connects on the loopback.

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::null_mut;

const LISTENER: Token = Token(usize::MAX - 1);

/// One direction of a connection.
struct Direction {
    reader: OwnedFd,
    writer: OwnedFd,
    /// Bytes in the pipe.
    held: usize,
    size: usize,
    is_over: bool,
}

impl Direction {
    fn new(size: usize) -> io::Result<Self> {
        let mut ends = [0; 2];
        // SAFETY: the array has room for both descriptors, which nothing else owns.
        let (reader, writer) = unsafe {
            if libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK | libc::O_CLOEXEC) < 0 {
                return Err(io::Error::last_os_error());
            }
            (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
        };
        // SAFETY: the call has no pointers.
        if unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETPIPE_SZ, size) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { reader, writer, held: 0, size, is_over: false })
    }

    /// Moves data until it would block. The end of the stream is passed on.
    fn pump(&mut self, from: &TcpStream, to: &TcpStream) -> io::Result<()> {
        while !self.is_over {
            if self.held == 0 {
                match splice(from, &self.writer, self.size) {
                    Ok(0) => {
                        self.is_over = true;
                        to.shutdown(Shutdown::Write)?;
                    }
                    Ok(count) => self.held = count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error),
                }
            } else {
                match splice(&self.reader, to, self.held) {
                    Ok(count) => self.held -= count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

fn splice(from: &impl AsRawFd, to: &impl AsRawFd, count: usize) -> io::Result<usize> {
    let flags = libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK;
    // SAFETY: without offsets, the call has no pointers.
    let moved =
        unsafe { libc::splice(from.as_raw_fd(), null_mut(), to.as_raw_fd(), null_mut(), count, flags) };
    usize::try_from(moved).map_err(|_| io::Error::last_os_error())
}

struct Pair {
    client: TcpStream,
    server: TcpStream,
    up: Direction,
    down: Direction,
}

impl Pair {
    /// Relays in both directions. Returns true when the connection has ended.
    fn advance(&mut self) -> io::Result<bool> {
        self.up.pump(&self.client, &self.server)?;
        self.down.pump(&self.server, &self.client)?;
        Ok(self.up.is_over && self.down.is_over)
    }
}

fn main() -> io::Result<()> {
    let arguments: Vec<usize> = std::env::args().skip(1).map_while(|text| text.parse().ok()).collect();
    let [port, backend, pipe] = arguments[..] else {
        eprintln!("usage: bare_splice PORT BACKEND PIPE_BYTES");
        std::process::exit(2);
    };
    let [address, backend] = [port, backend].map(|port| SocketAddr::from(([127, 0, 0, 1], port as u16)));
    serve(address, backend, pipe)
}

fn serve(address: SocketAddr, backend: SocketAddr, pipe: usize) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut listener = TcpListener::bind(address)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut pairs: Vec<Option<Pair>> = Vec::new();
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut client, _)) = listener.accept() {
                    let mut server = TcpStream::connect(backend)?;
                    for (number, socket) in [&mut client, &mut server].into_iter().enumerate() {
                        socket.set_nodelay(true)?;
                        let token = Token(pairs.len() * 2 + number);
                        poll.registry().register(socket, token, Interest::READABLE | Interest::WRITABLE)?;
                    }
                    let (up, down) = (Direction::new(pipe)?, Direction::new(pipe)?);
                    pairs.push(Some(Pair { client, server, up, down }));
                }
                continue;
            }
            let slot = event.token().0 / 2;
            let Some(pair) = &mut pairs[slot] else { continue };
            if pair.advance().unwrap_or(true) {
                pairs[slot] = None;
            }
        }
    }
}
