//! Long-lived clients: one echoed request establishes a connection, any number of echoes follow.

use crate::backend::Backend;
use crate::link::{Link, Tls};
use crate::net::{BACKEND, Net, Ready, attempt, broken};
use crate::payload::{HEAD, request};
use crate::stream::Stream;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

struct EchoClient {
    socket: Link,
    started: Instant,
    /// The unanswered data: the request, or a piece of the stream.
    opening: bool,
    offset: u64,
    size: usize,
    sent: usize,
    got: usize,
}

pub struct EchoClients {
    verb: &'static str,
    target: SocketAddr,
    tls: Tls,
    /// The clients' address, if it is not the system's choice.
    source: Option<Ipv4Addr>,
    echo_clients: Vec<EchoClient>,
    stream: Stream,
    scratch: Vec<u8>,
    ready: Vec<Ready>,
}

impl EchoClients {
    /// Creates a set of clients. With the verb `PUT`, a proxy makes no decision, and no echo arrives.
    pub fn new(target: SocketAddr, verb: &'static str, tls: Tls) -> Self {
        let (echo_clients, ready) = (Vec::new(), Vec::new());
        let scratch = vec![0; 256 * 1024];
        Self { verb, target, tls, source: None, echo_clients, stream: Stream::new(), scratch, ready }
    }

    /// Lets the clients connect from an address.
    pub fn from(self, source: Ipv4Addr) -> Self {
        Self { source: Some(source), ..self }
    }

    pub fn len(&self) -> usize {
        self.echo_clients.len()
    }

    /// Opens connections until there are `count`, at most `concurrency` of them unanswered.
    pub fn open(
        &mut self,
        net: &mut Net,
        backend: &mut Backend,
        count: usize,
        concurrency: usize,
    ) -> io::Result<()> {
        let end = Instant::now() + Duration::from_secs(60);
        let mut answered = self.len();
        while answered < count {
            while self.len() < count && self.len() - answered < concurrency {
                let socket = self.connect(net)?;
                let started = Instant::now();
                self.echo_clients.push(EchoClient {
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

    fn connect(&self, net: &Net) -> io::Result<Link> {
        let slot = self.len();
        let socket = match self.source {
            None => net.connect(self.target, slot)?,
            Some(source) => net.connect_from(source, self.target, slot)?,
        };
        socket.set_nodelay(true)?;
        self.tls.link(socket)
    }

    /// Polls once, calls `done` for each complete echo, and returns the number of echoes.
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
    pub fn send(&mut self, slot: usize, size: usize) -> io::Result<()> {
        let talker = &mut self.echo_clients[slot];
        talker.offset += if talker.opening { 0 } else { talker.size as u64 };
        (talker.opening, talker.size, talker.sent, talker.got) = (false, size, 0, 0);
        talker.started = Instant::now();
        self.event(slot).map(|_| ())
    }

    pub fn event(&mut self, slot: usize) -> io::Result<Option<Duration>> {
        let Some(talker) = self.echo_clients.get_mut(slot) else { return Ok(None) };
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

    /// Counts clients whose peer has not closed the connection.
    pub fn still_open(&mut self) -> usize {
        let scratch = &mut self.scratch;
        self.echo_clients
            .iter_mut()
            .filter_map(|talker| attempt(talker.socket.read(scratch)).ok())
            .filter(Option::is_none)
            .count()
    }
}
