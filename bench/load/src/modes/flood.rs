//! Clients that the proxy closes at once, beside a few that it serves.
//!
//! One thread floods: it connects from one address, or from a new one each time by a PROXY header, and waits for the end
//! of each connection. Another thread opens a connection every few milliseconds from another address, sends its bytes,
//! and measures the time to the reply. Both sleep between their connections, so that the proxy gets a processor.

use super::ModeResult;
use crate::args::Args;
use crate::net::bind_address_no_port;
use crate::probe::Probe;
use crate::report::Report;
use crate::samples::Samples;
use socket2::{Domain, Socket, Type};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// Connections of the flood that wait for their end.
const PENDING: usize = 64;

/// The signature of a PROXY header of version 2, its command and its family (PROXY protocol, section 2.2).
const HEADER: &[u8; 14] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11";

pub fn run(args: &Args) -> ModeResult {
    let target = args.target()?;
    let length = args.seconds("seconds", 5.0)?;
    let rate: f64 = args.get("rate", 20_000.0)?;
    let sources: u32 = args.get("sources", 1)?;
    let every = Duration::from_secs_f64(args.get("every-ms", 5.0)? / 1000.0);
    let probe = Probe::new(args.get("pid", 0)?);
    let before = probe.usage();
    let started = Instant::now();
    let end = started + length;
    // At a listener for a load balancer, the others would need a header, too.
    let others_end = if sources > 1 { started } else { end };
    let others = thread::spawn(move || serve_others(target, every, others_end));
    let flooded = if rate > 0.0 { flood(target, rate, sources, args.get("allowed", 10)?, end)? } else { 0 };
    let (mut samples, errors) = others.join().map_err(|_| "the thread of the others failed")?;
    let time = started.elapsed();
    Report::new("flood")
        .work(flooded.max(1) as f64, time, probe.usage().since(before))
        .latency(&mut samples)
        .number("errors", errors)
        .print();
    Ok(())
}

/// Opens connections at this rate until the end, and keeps the `allowed` first ones of a single source open. Returns
/// their number.
fn flood(target: SocketAddr, rate: f64, sources: u32, allowed: u64, end: Instant) -> io::Result<u64> {
    let started = Instant::now();
    let mut pending: VecDeque<TcpStream> = VecDeque::with_capacity(PENDING);
    let mut held = Vec::new();
    let mut count = 0_u64;
    loop {
        let now = Instant::now();
        if now >= end {
            return Ok(count);
        }
        let due = ((now - started).as_secs_f64() * rate) as u64;
        if count >= due {
            thread::sleep(Duration::from_millis(1));
            continue;
        }
        let mut client = connect(target, Ipv4Addr::new(127, 9, 9, 9))?;
        if sources > 1 {
            let source = Ipv4Addr::from_bits(0x0B00_0000 + (count % u64::from(sources)) as u32);
            let mut header = HEADER.to_vec();
            header.extend(12_u16.to_be_bytes());
            header.extend(source.octets());
            header.extend([127, 0, 0, 1, 0x12, 0x34, 0, 80]);
            client.write_all(&header)?;
            client.write_all(b"x")?;
        }
        count += 1;
        if sources == 1 && count <= allowed {
            held.push(client);
            continue;
        }
        pending.push_back(client);
        if pending.len() == PENDING {
            if let Some(mut oldest) = pending.pop_front() {
                // The proxy may end a connection by FIN or RST.
                let _ = oldest.read(&mut [0; 64]);
            }
        }
    }
}

/// Opens a connection every `every` and measures the time to its reply. Returns the times and the number of errors.
fn serve_others(target: SocketAddr, every: Duration, end: Instant) -> (Samples, u64) {
    let (mut samples, mut errors) = (Samples::default(), 0);
    let mut due = Instant::now();
    while due < end {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let begun = Instant::now();
        match ask(target) {
            Ok(()) => samples.add(begun.elapsed()),
            Err(_) => errors += 1,
        }
        due = (due + every).max(Instant::now());
    }
    (samples, errors)
}

fn ask(target: SocketAddr) -> io::Result<()> {
    let mut client = connect(target, Ipv4Addr::LOCALHOST)?;
    client.write_all(b"hello")?;
    let mut reply = [0; 5];
    client.read_exact(&mut reply)?;
    if &reply == b"hello" { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Connects from an address of this machine. Closing resets the connection, so that no port stays in TIME-WAIT.
fn connect(target: SocketAddr, from: Ipv4Addr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    bind_address_no_port(&socket)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect(&target.into())?;
    Ok(socket.into())
}
