//! Bulk transfer in one direction, over one or several connections.

use super::{ModeResult, set_up};
use crate::args::Args;
use crate::backend::Backend;
use crate::bulk_io::Position;
use crate::link::Link;
use crate::link::Tls;
use crate::net::{BACKEND, Net, Step, attempt, broken};
use crate::payload::{HEAD, reply, request};
use crate::report::Report;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(120);

struct Flow {
    socket: Link,
    up: bool,
    size: u64,
    asked: bool,
    position: Position,
    answer: Vec<u8>,
    done: bool,
}

pub fn run(args: &Args) -> ModeResult {
    let (clients, mib) = (args.get("clients", 1usize)?, args.get("mib", 1024u64)?);
    let up = match args.text("direction", "down").as_str() {
        "up" => true,
        "down" => false,
        other => return Err(format!("--direction {other}: up or down").into()),
    };
    let (mut net, mut backend, probe) = set_up(args)?;
    let (target, size) = (args.target()?, (mib << 20) / clients as u64);
    let tls = Tls::of(args, "tls")?;
    let before = probe.usage();
    let started = Instant::now();
    let mut flows = Vec::new();
    for slot in 0..clients {
        let position = Position::start(size);
        let socket = tls.link(net.connect(target, slot)?)?;
        flows.push(Flow { socket, up, size, asked: false, position, answer: Vec::new(), done: false });
    }
    drive(&mut net, &mut backend, &mut flows, started)?;
    let time = started.elapsed();
    let usage = probe.usage().since(before);
    Report::new("bulk")
        .number("clients", clients)
        .work(mib as f64, time, usage)
        .number("spare", format_args!("{:.3}", net.spare.as_secs_f64() / time.as_secs_f64()))
        .number("errors", backend.errors)
        .print();
    Ok(())
}

fn drive(net: &mut Net, backend: &mut Backend, flows: &mut [Flow], started: Instant) -> io::Result<()> {
    let (mut ready, mut again) = (Vec::new(), Vec::new());
    let mut left = flows.len();
    while left > 0 {
        if net.poll(Duration::ZERO, &mut ready)? - started > LIMIT {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("{left} flows unfinished after {LIMIT:?}"),
            ));
        }
        let resumed = std::mem::take(&mut again);
        for token in ready.iter().map(|event| event.token).chain(resumed) {
            if token >= BACKEND {
                backend.event(net, token)?;
                continue;
            }
            let flow = &mut flows[token];
            if flow.done {
                continue;
            }
            match flow.step(backend)? {
                Step::Wait => {}
                Step::Again => again.push(token),
                Step::Done => {
                    flow.done = true;
                    left -= 1;
                }
            }
        }
        backend.resume();
    }
    Ok(())
}

impl Flow {
    fn step(&mut self, backend: &mut Backend) -> io::Result<Step> {
        if !self.asked {
            let role = if self.up { "up" } else { "down" };
            match attempt(self.socket.write(&request("GET", "alpha", role, self.size)))? {
                None => return Ok(Step::Wait),
                Some(HEAD) => self.asked = true,
                Some(_) => return Err(broken("a request did not fit into an empty socket")),
            }
        }
        if !self.up {
            return self.position.receive(&mut self.socket, &mut backend.tools);
        }
        match self.position.send(&mut self.socket, &backend.tools)? {
            Step::Done => self.receipt(),
            other => Ok(other),
        }
    }

    /// The backend's confirmation that all bytes have arrived.
    fn receipt(&mut self) -> io::Result<Step> {
        let mut room = [0; HEAD + 1];
        loop {
            match attempt(self.socket.read(&mut room))? {
                None => return Ok(Step::Wait),
                Some(0) if self.answer == reply(self.size) => return Ok(Step::Done),
                Some(0) => return Err(broken("the stream ended without its receipt")),
                Some(n) => self.answer.extend_from_slice(&room[..n]),
            }
        }
    }
}
