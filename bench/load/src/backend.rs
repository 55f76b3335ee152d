//! The backend: serves each connection as its request asks.

use crate::bulk_io::{Position, Tools};
use crate::net::{BACKEND, Net, Step, attempt, broken};
use crate::payload::{HEAD, Head, Role, parse, reply};
use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

struct Conn {
    socket: TcpStream,
    head: Head,
    got: usize,
    work: Work,
}

enum Work {
    Head,
    Reply(u64),
    Echo(Vec<u8>),
    Down(Position),
    Up(Position, u64),
}

pub struct Backend {
    listener: TcpListener,
    conns: Vec<Option<Box<Conn>>>,
    free: Vec<usize>,
    again: Vec<usize>,
    pub tools: Tools,
    pub accepted: u64,
    pub errors: u64,
}

impl Backend {
    pub fn new(net: &Net, address: SocketAddr) -> io::Result<Self> {
        let mut listener = listen(address)?;
        net.add(&mut listener, BACKEND)?;
        let (conns, free, again) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { listener, conns, free, again, tools: Tools::new(), accepted: 0, errors: 0 })
    }

    pub fn event(&mut self, net: &Net, token: usize) -> io::Result<()> {
        if token == BACKEND {
            return self.accept(net);
        }
        self.turn(token - BACKEND - 1);
        Ok(())
    }

    /// Returns the number of open connections.
    pub fn open(&self) -> usize {
        self.conns.len() - self.free.len()
    }

    /// Continues the connections that had used up their turn.
    pub fn resume(&mut self) {
        for slot in std::mem::take(&mut self.again) {
            self.turn(slot);
        }
    }

    fn accept(&mut self, net: &Net) -> io::Result<()> {
        loop {
            let mut socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::ConnectionAborted => continue,
                Err(e) => return Err(e),
            };
            self.accepted += 1;
            let slot = self.free.pop().unwrap_or_else(|| {
                self.conns.push(None);
                self.conns.len() - 1
            });
            net.add(&mut socket, BACKEND + 1 + slot)?;
            let conn = Conn { socket, head: [0; HEAD], got: 0, work: Work::Head };
            self.conns[slot] = Some(Box::new(conn));
        }
    }

    fn turn(&mut self, slot: usize) {
        let Some(conn) = self.conns.get_mut(slot).and_then(Option::as_mut) else { return };
        let step = conn.step(&mut self.tools).unwrap_or_else(|error| {
            // A client that disconnects while idle is not an error.
            let harmless = matches!(conn.work, Work::Echo(_) | Work::Head);
            if !harmless {
                eprintln!("backend: {error}");
                self.errors += 1;
            }
            Step::Done
        });
        match step {
            Step::Wait => {}
            Step::Again => self.again.push(slot),
            Step::Done => {
                self.conns[slot] = None;
                self.free.push(slot);
            }
        }
    }
}

/// Listens with a backlog for all clients at once, because an overflow costs a client a second.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    Ok(TcpListener::from_std(socket.into()))
}

impl Conn {
    fn step(&mut self, tools: &mut Tools) -> io::Result<Step> {
        loop {
            let step = match &mut self.work {
                Work::Head => match attempt(self.socket.read(&mut self.head[self.got..]))? {
                    None => return Ok(Step::Wait),
                    Some(0) => return Ok(Step::Done),
                    Some(n) => {
                        self.got += n;
                        if self.got == HEAD {
                            self.work = self.assignment()?;
                        }
                        continue;
                    }
                },
                Work::Reply(number) => answer(&mut self.socket, *number)?,
                Work::Echo(pending) => echo(&mut self.socket, pending, &mut tools.scratch)?,
                Work::Down(position) => position.send(&mut self.socket, tools)?,
                Work::Up(position, number) => match position.receive(&mut self.socket, tools)? {
                    Step::Done => answer(&mut self.socket, *number)?,
                    other => other,
                },
            };
            return Ok(step);
        }
    }

    fn assignment(&self) -> io::Result<Work> {
        let (role, number) = parse(&self.head).ok_or_else(|| broken("not a request of ours"))?;
        Ok(match role {
            Role::Reply => Work::Reply(number),
            Role::Echo => Work::Echo(self.head.to_vec()),
            Role::Down(size) => Work::Down(Position::start(size)),
            Role::Up(size) => Work::Up(Position::start(size), number),
        })
    }
}

fn answer(socket: &mut TcpStream, number: u64) -> io::Result<Step> {
    match socket.write(&reply(number))? {
        HEAD => Ok(Step::Done),
        _ => Err(broken("a reply did not fit into an empty socket")),
    }
}

fn echo(socket: &mut TcpStream, pending: &mut Vec<u8>, scratch: &mut [u8]) -> io::Result<Step> {
    loop {
        if !pending.is_empty() {
            match attempt(socket.write(pending))? {
                None => return Ok(Step::Wait),
                Some(n) if n < pending.len() => drop(pending.drain(..n)),
                Some(_) => *pending = Vec::new(),
            }
            continue;
        }
        match attempt(socket.read(scratch))? {
            None => return Ok(Step::Wait),
            Some(0) => return Ok(Step::Done),
            Some(got) => {
                let sent = attempt(socket.write(&scratch[..got]))?.unwrap_or(0);
                if sent < got {
                    pending.extend_from_slice(&scratch[sent..got]);
                }
            }
        }
    }
}
