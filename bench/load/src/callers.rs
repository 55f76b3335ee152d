//! Clients that connect, ask once, read to the end, check, and are gone.

use crate::net::{Net, attempt, broken};
use crate::payload::{HEAD, reply, request};
use mio::net::TcpStream;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// More failures than this end a run.
const TOO_MANY: u64 = 1000;

struct Call {
    socket: TcpStream,
    started: Instant,
    number: u64,
    asked: bool,
    got: usize,
    /// With room for one byte too many.
    answer: [u8; HEAD + 1],
}

pub struct Callers {
    target: SocketAddr,
    route: String,
    /// The proxy closes without a word, instead of a backend's reply.
    silent: bool,
    slots: Vec<Option<Call>>,
    first: usize,
    number: u64,
    pub errors: u64,
}

impl Callers {
    /// `count` clients whose tokens begin at `first`.
    pub fn new(target: SocketAddr, route: &str, silent: bool, first: usize, count: usize) -> Self {
        let slots = std::iter::repeat_with(|| None).take(count).collect();
        Self { target, route: route.to_owned(), silent, slots, first, number: 0, errors: 0 }
    }

    pub fn owns(&self, token: usize) -> bool {
        (self.first..self.first + self.slots.len()).contains(&token)
    }

    /// Starts a call in some free slot; false when all are busy.
    pub fn start_any(&mut self, net: &Net) -> io::Result<bool> {
        match self.slots.iter().position(Option::is_none) {
            Some(slot) => self.start(net, slot).map(|()| true),
            None => Ok(false),
        }
    }

    pub fn start(&mut self, net: &Net, slot: usize) -> io::Result<()> {
        let started = Instant::now();
        let socket = net.connect(self.target, self.first + slot)?;
        self.number += 1;
        let number = self.number;
        self.slots[slot] =
            Some(Call { socket, started, number, asked: false, got: 0, answer: [0; HEAD + 1] });
        Ok(())
    }

    /// Goes on with the call of `token`; Some(slot, time) when it has ended, the time only if it was good.
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

    /// Calls under way for longer than `time`: lost, as far as a run of seconds can tell.
    pub fn stuck(&self, time: Duration) -> usize {
        self.slots.iter().flatten().filter(|call| call.started.elapsed() > time).count()
    }
}

impl Call {
    /// A short read has emptied the socket, so there is no need to ask for what is not there.
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
        match attempt(self.socket.read(&mut self.answer[self.got..])) {
            Ok(None) => return Ok(false),
            Ok(Some(n)) => {
                self.got += n;
                if n > 0 && !ended && self.got <= HEAD {
                    return Ok(false);
                }
            }
            // Closing with the request unread is a reset; a decision all the same.
            Err(e) if silent && e.kind() == ErrorKind::ConnectionReset => {}
            Err(e) => return Err(e),
        }
        let want = if silent { &[] } else { &reply(self.number)[..] };
        if self.answer[..self.got] == *want {
            return Ok(true);
        }
        Err(broken(&format!("wrong reply: {} bytes", self.got)))
    }
}
