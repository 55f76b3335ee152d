//! Clients that stay: established by one echoed request, then any number of echoes.

use crate::backend::Backend;
use crate::net::{BACKEND, Net, Ready, attempt, broken};
use crate::payload::{HEAD, request};
use crate::stream::Stream;
use mio::net::TcpStream;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

struct Talker {
    socket: TcpStream,
    started: Instant,
    /// What is out: the request itself, or a piece of the stream.
    opening: bool,
    offset: u64,
    size: usize,
    sent: usize,
    got: usize,
}

pub struct Talkers {
    verb: &'static str,
    target: SocketAddr,
    talkers: Vec<Talker>,
    stream: Stream,
    scratch: Vec<u8>,
    ready: Vec<Ready>,
}

impl Talkers {
    /// With the verb `PUT` a proxy comes to no decision: nobody answers.
    pub fn new(target: SocketAddr, verb: &'static str) -> Self {
        let (talkers, ready) = (Vec::new(), Vec::new());
        Self { verb, target, talkers, stream: Stream::new(), scratch: vec![0; 256 * 1024], ready }
    }

    pub fn len(&self) -> usize {
        self.talkers.len()
    }

    /// Opens connections until there are `count`, at most `at_once` of them unanswered.
    pub fn open(
        &mut self,
        net: &mut Net,
        backend: &mut Backend,
        count: usize,
        at_once: usize,
    ) -> io::Result<()> {
        let end = Instant::now() + Duration::from_secs(60);
        let mut answered = self.len();
        while answered < count {
            while self.len() < count && self.len() - answered < at_once {
                let socket = net.connect(self.target, self.len())?;
                socket.set_nodelay(true)?;
                let started = Instant::now();
                self.talkers.push(Talker {
                    socket,
                    started,
                    opening: true,
                    offset: 0,
                    size: HEAD,
                    sent: 0,
                    got: 0,
                });
            }
            answered += self.round(net, backend, Duration::ZERO, |_, _| {})?;
            if Instant::now() > end {
                return Err(io::Error::new(
                    ErrorKind::TimedOut,
                    format!("only {answered} of {count} answered"),
                ));
            }
        }
        Ok(())
    }

    /// One look at the network; tells `done` each echo that is complete, and says how many there were.
    pub fn round(
        &mut self,
        net: &mut Net,
        backend: &mut Backend,
        wait: Duration,
        mut done: impl FnMut(usize, Duration),
    ) -> io::Result<usize> {
        let mut ready = std::mem::take(&mut self.ready);
        net.poll(wait, &mut ready)?;
        let mut complete = 0;
        for &Ready { token, .. } in &ready {
            if token >= BACKEND {
                backend.event(net, token)?;
            } else if let Some(time) = self.event(token)? {
                complete += 1;
                done(token, time);
            }
        }
        backend.resume();
        self.ready = ready;
        Ok(complete)
    }

    /// Sends the next `size` bytes of the connection's stream.
    pub fn say(&mut self, slot: usize, size: usize) -> io::Result<()> {
        let talker = &mut self.talkers[slot];
        talker.offset += if talker.opening { 0 } else { talker.size as u64 };
        (talker.opening, talker.size, talker.sent, talker.got) = (false, size, 0, 0);
        talker.started = Instant::now();
        self.event(slot).map(|_| ())
    }

    pub fn event(&mut self, slot: usize) -> io::Result<Option<Duration>> {
        let Some(talker) = self.talkers.get_mut(slot) else { return Ok(None) };
        while talker.sent < talker.size {
            let head;
            let piece = if talker.opening {
                head = request(self.verb, "alpha", "echo", slot as u64);
                &head[talker.sent..]
            } else {
                self.stream.at(talker.offset + talker.sent as u64, (talker.size - talker.sent) as u64)
            };
            match attempt(talker.socket.write(piece))? {
                None => break,
                Some(n) => talker.sent += n,
            }
            if talker.sent == talker.size && self.verb == "PUT" {
                return Ok(Some(talker.started.elapsed()));
            }
        }
        while talker.sent > 0 && talker.got < talker.size {
            let Some(n) = attempt(talker.socket.read(&mut self.scratch))? else { return Ok(None) };
            let got = &self.scratch[..n];
            let good = if talker.opening {
                let head = request(self.verb, "alpha", "echo", slot as u64);
                head[talker.got..].starts_with(got)
            } else {
                self.stream.matches(talker.offset + talker.got as u64, got)
            };
            if n == 0 || !good || talker.got + n > talker.size {
                return Err(broken(&format!("connection {slot}: {n} bytes, not the echo")));
            }
            talker.got += n;
            if talker.got == talker.size {
                return Ok(Some(talker.started.elapsed()));
            }
        }
        Ok(None)
    }

    /// How many have not been closed by the other side.
    pub fn open_still(&mut self) -> usize {
        let scratch = &mut self.scratch;
        self.talkers
            .iter_mut()
            .filter_map(|talker| attempt(talker.socket.read(scratch)).ok())
            .filter(Option::is_none)
            .count()
    }
}
