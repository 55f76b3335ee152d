//! A minimal relay: one thread, epoll, one buffer; no routing, no timeouts, no log. The lower bound for a proxy that
//! copies. `bare PORT BACKEND` listens and connects on the loopback.

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};

const LISTENER: Token = Token(usize::MAX - 1);
const CHUNK: usize = 64 * 1024;

/// One end of a pair, with the data that it has not accepted yet.
struct End {
    socket: TcpStream,
    pending: Vec<u8>,
    /// The other end has sent its last data.
    last: bool,
}

impl End {
    fn new(socket: TcpStream) -> Self {
        Self { socket, pending: Vec::new(), last: false }
    }

    /// Writes pending data. Returns false if some is left.
    fn flush(&mut self) -> io::Result<bool> {
        while !self.pending.is_empty() {
            match self.socket.write(&self.pending) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(error) if would_block(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn send(&mut self, data: &[u8]) -> io::Result<()> {
        let count = match self.socket.write(data) {
            Ok(count) => count,
            Err(error) if would_block(&error) => 0,
            Err(error) => return Err(error),
        };
        self.pending.extend_from_slice(&data[count..]);
        Ok(())
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected)
}

/// A client and its server. The server is connected when the client sends its first data.
struct Pair {
    client: End,
    server: Option<End>,
}

fn main() -> io::Result<()> {
    let mut ports = std::env::args().skip(1).map_while(|text| text.parse().ok());
    let (Some(port), Some(backend)) = (ports.next(), ports.next()) else {
        eprintln!("usage: bare PORT BACKEND");
        std::process::exit(2);
    };
    serve(SocketAddr::from(([127, 0, 0, 1], port)), SocketAddr::from(([127, 0, 0, 1], backend)))
}

fn serve(address: SocketAddr, backend: SocketAddr) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut listener = TcpListener::bind(address)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut pairs: Vec<Option<Pair>> = Vec::new();
    let mut free = Vec::new();
    let mut scratch = vec![0; CHUNK];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut socket, _)) = listener.accept() {
                    let slot = free.pop().unwrap_or_else(|| {
                        pairs.push(None);
                        pairs.len() - 1
                    });
                    watch(&poll, &mut socket, slot * 2)?;
                    pairs[slot] = Some(Pair { client: End::new(socket), server: None });
                }
                continue;
            }
            let slot = event.token().0 / 2;
            let Some(pair) = &mut pairs[slot] else { continue };
            let connect = || {
                let mut socket = TcpStream::connect(backend)?;
                watch(&poll, &mut socket, slot * 2 + 1)?;
                Ok(End::new(socket))
            };
            if pair.advance(connect, &mut scratch).unwrap_or(true) {
                pairs[slot] = None;
                free.push(slot);
            }
        }
    }
}

fn watch(poll: &Poll, socket: &mut TcpStream, token: usize) -> io::Result<()> {
    socket.set_nodelay(true)?;
    poll.registry().register(socket, Token(token), Interest::READABLE | Interest::WRITABLE)
}

impl Pair {
    /// Relays in both directions. Returns true when the connection has ended.
    fn advance(&mut self, connect: impl FnOnce() -> io::Result<End>, scratch: &mut [u8]) -> io::Result<bool> {
        let server = match &mut self.server {
            Some(server) => server,
            None => match self.client.socket.read(scratch) {
                Ok(0) => return Ok(true),
                Ok(count) => {
                    let server = self.server.insert(connect()?);
                    server.send(&scratch[..count])?;
                    server
                }
                Err(error) if would_block(&error) => return Ok(false),
                Err(error) => return Err(error),
            },
        };
        if pump(&mut self.client, server, scratch)? {
            server.socket.shutdown(Shutdown::Write)?;
        }
        pump(server, &mut self.client, scratch)
    }
}

/// Relays from one end to the other until it would block. Returns true if the first end has closed and all is
/// delivered.
fn pump(from: &mut End, to: &mut End, scratch: &mut [u8]) -> io::Result<bool> {
    while to.flush()? && !to.last {
        match from.socket.read(scratch) {
            Ok(0) => {
                to.last = true;
                return Ok(true);
            }
            Ok(count) => to.send(&scratch[..count])?,
            Err(error) if would_block(&error) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}
