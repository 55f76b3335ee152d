//! Decisions only: undecided connections that go on sending, so that the proxy hardly does more than read a
//! chunk and call the block. The block answers `END` with the number of its calls so far.

use super::ModeResult;
use crate::args::Args;
use crate::probe::{Probe, Usage};
use crate::report::Report;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

pub fn run(args: &Args) -> ModeResult {
    let (clients, chunks) = (args.get("clients", 256usize)?, args.get("chunks", 100usize)?);
    let length = args.seconds("seconds", 2.0)?;
    let probe = Probe::new(args.get("pid", 0)?);
    let target = args.target()?;
    let (mut calls, mut sent, mut time) = (0u64, 0u64, Duration::ZERO);
    let mut usage = Usage::default();
    batch(target, clients, chunks / 4, probe)?;
    while time < length {
        let one = batch(target, clients, chunks, probe)?;
        calls += one.calls;
        sent += one.sent;
        time += one.time;
        usage.cpu_nanos += one.usage.cpu_nanos;
        usage.switches += one.usage.switches;
    }
    Report::new("chunks")
        .number("clients", clients)
        .number("sent", sent)
        .work(calls as f64, time, usage)
        .number("errors", 0)
        .print();
    Ok(())
}

struct Batch {
    calls: u64,
    sent: u64,
    time: Duration,
    usage: Usage,
}

fn batch(
    target: SocketAddr,
    clients: usize,
    chunks: usize,
    probe: Probe,
) -> Result<Batch, Box<dyn std::error::Error>> {
    let mut sockets = (0..clients).map(|_| open(target)).collect::<io::Result<Vec<_>>>()?;
    let first = request_count(&mut open(target)?)?;
    let (before, started) = (probe.usage(), Instant::now());
    for _ in 0..chunks {
        for socket in &mut sockets {
            socket.write_all(b"PUT 16 bytes...\n")?;
        }
    }
    // Each connection of the batch asks for the count, so that nearly all chunks have been read.
    let mut last = first;
    for socket in &mut sockets {
        last = last.max(request_count(socket)?);
    }
    let (time, usage) = (started.elapsed(), probe.usage().since(before));
    Ok(Batch { calls: last - first, sent: (chunks * clients) as u64, time, usage })
}

fn open(target: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(target)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(socket)
}

fn request_count(socket: &mut TcpStream) -> Result<u64, Box<dyn std::error::Error>> {
    socket.write_all(b"END\n")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let count = answer.trim().strip_prefix("calls=").ok_or_else(|| format!("not a count: {answer:?}"))?;
    Ok(count.parse()?)
}
