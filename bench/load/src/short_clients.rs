//! Clients that connect, send a request, read to the end, check the reply and close.

use crate::link::{Link, Tls};
use crate::net::{Net, attempt, broken};
use crate::payload::{HEAD, reply, request};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The number of failures that ends a run.
const TOO_MANY: u64 = 1000;

struct ShortClient {
    socket: Link,
    started: Instant,
    number: u64,
    asked: bool,
    got: usize,
    /// Has room for one excess byte.
    answer: [u8; HEAD + 1],
}

pub struct ShortClients {
    target: SocketAddr,
    tls: Tls,
    route: String,
    /// Expects the proxy to close without a reply.
    silent: bool,
    slots: Vec<Option<ShortClient>>,
    first: usize,
    number: u64,
    pub errors: u64,
}

impl ShortClients {
    /// Creates `count` clients whose tokens begin at `first`.
    pub fn new(target: SocketAddr, tls: Tls, route: &str, silent: bool, first: usize, count: usize) -> Self {
        let slots = std::iter::repeat_with(|| None).take(count).collect();
        Self { target, tls, route: route.to_owned(), silent, slots, first, number: 0, errors: 0 }
    }

    pub fn owns(&self, token: usize) -> bool {
        (self.first..self.first + self.slots.len()).contains(&token)
    }

    /// Starts a client in a free slot. Returns the slot, or `None` if all are busy.
    pub fn start_any(&mut self, net: &Net) -> io::Result<Option<usize>> {
        match self.slots.iter().position(Option::is_none) {
            Some(slot) => self.start(net, slot).map(|()| Some(slot)),
            None => Ok(None),
        }
    }

    pub fn start(&mut self, net: &Net, slot: usize) -> io::Result<()> {
        let started = Instant::now();
        let socket = self.tls.link(net.connect(self.target, self.first + slot)?)?;
        self.number += 1;
        let number = self.number;
        self.slots[slot] =
            Some(ShortClient { socket, started, number, asked: false, got: 0, answer: [0; HEAD + 1] });
        Ok(())
    }

    /// Continues the client of `token`. Returns its slot when it has ended, and its time if it succeeded.
    pub fn event(&mut self, token: usize, ended: bool) -> io::Result<Option<(usize, Option<Duration>)>> {
        let slot = token - self.first;
        let Some(call) = &mut self.slots[slot] else { return Ok(None) };
        let ended = match call.step(&self.route, self.silent, ended) {
            Ok(false) => return Ok(None),
            Ok(true) => Some(call.started.elapsed()),
            Err(error) => {
                self.errors += 1;
                if self.errors <= 3 {
                    eprintln!("client: {error}");
                }
                if self.errors > TOO_MANY {
                    return Err(error);
                }
                None
            }
        };
        self.slots[slot] = None;
        Ok(Some((slot, ended)))
    }

    /// Counts clients that have waited for longer than `time`.
    pub fn overdue(&self, time: Duration) -> usize {
        self.slots.iter().flatten().filter(|call| call.started.elapsed() > time).count()
    }
}

impl ShortClient {
    /// Reads until a short read, which shows that the socket is empty.
    fn step(&mut self, route: &str, silent: bool, ended: bool) -> io::Result<bool> {
        if !self.asked {
            match attempt(self.socket.write(&request("GET", route, "reply", self.number)))? {
                None => return Ok(false),
                Some(HEAD) => self.asked = true,
                Some(_) => return Err(broken("a request did not fit into an empty socket")),
            }
            if !ended {
                return Ok(false);
            }
        }
        loop {
            match attempt(self.socket.read(&mut self.answer[self.got..])) {
                Ok(None) => return Ok(false),
                Ok(Some(n)) => {
                    self.got += n;
                    let may_go_on = n > 0 && self.got <= HEAD;
                    // Within TLS, the end may have come with the reply, and no further event.
                    if may_go_on && self.socket.plain().is_none() {
                        continue;
                    }
                    if may_go_on && !ended {
                        return Ok(false);
                    }
                }
                // A close with the request unread sends an RST, which is a valid decision.
                Err(e) if silent && e.kind() == ErrorKind::ConnectionReset => {}
                Err(e) => return Err(e),
            }
            break;
        }
        let want = if silent { &[] } else { &reply(self.number)[..] };
        if self.answer[..self.got] == *want {
            return Ok(true);
        }
        Err(broken(&format!("wrong reply: {} bytes", self.got)))
    }
}
