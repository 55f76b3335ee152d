//! One of several processes that hold many connections together, each with the backend of its own clients: the clients
//! of 127.1.0.K are routed to 127.2.0.K, where process K listens. So each stays below its limit of descriptors.
//!
//! Steps come on standard input, one in a line; each prints one line of JSON: `open N`, `talk SECONDS`, `close`.
//! Between steps the process sleeps.

use super::{ModeResult, settle};
use crate::args::Args;
use crate::backend::Backend;
use crate::echo_clients::EchoClients;
use crate::link::Tls;
use crate::net::Net;
use crate::report::Report;
use crate::samples::Samples;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Connections that are opened at a time.
const CONCURRENCY: usize = 256;

/// Connections that are opened within the time limit of [`EchoClients::open`].
const BATCH: usize = 2_000;

/// Messages per second, of all clients of this process together.
const RATE: u32 = 1000;

/// Limit of the time until the last echo.
const LAST_ECHO: Duration = Duration::from_secs(5);

/// Limit of the time until the last connection has ended.
const LAST_END: Duration = Duration::from_secs(60);

struct Crowd {
    net: Net,
    backend: Backend,
    clients: EchoClients,
}

pub fn run(args: &Args) -> ModeResult {
    let net = Net::new()?;
    let number: u8 = args.get("number", 1)?;
    let address = SocketAddr::from(([127, 2, 0, number], args.backend()?.port()));
    let backend = Backend::new(&net, address)?;
    // Without a proxy, clients connect to the backend.
    let target = if args.get("direct", false)? { address } else { args.target()? };
    let new_clients = || Ok::<_, String>(EchoClients::new(target, "GET", Tls::of(args, "tls")?));
    let source = Ipv4Addr::new(127, 1, 0, number);
    let mut crowd = Crowd { net, backend, clients: new_clients()?.from(source) };
    for line in std::io::stdin().lines() {
        let line = line?;
        let (step, number) = line.split_once(' ').unwrap_or((&line, "0"));
        let number: usize = number.parse()?;
        let report = Report::new(step);
        match step {
            "open" => crowd.open(number, report)?,
            "talk" => crowd.talk(Duration::from_secs(number as u64), report)?,
            "close" => {
                crowd.clients = new_clients()?.from(source);
                crowd.wait_for_ends()?;
                report
            }
            _ => return Err(format!("no such step: {step}").into()),
        }
        .print();
    }
    Ok(())
}

impl Crowd {
    /// Opens connections until there are `count`.
    fn open(&mut self, count: usize, report: Report) -> Result<Report, Box<dyn std::error::Error>> {
        let from = self.clients.len();
        let started = Instant::now();
        for next in (from..count).step_by(BATCH).skip(1).chain([count]) {
            self.clients.open(&mut self.net, &mut self.backend, next, CONCURRENCY)?;
        }
        Ok(report.rate((count - from) as f64, started.elapsed()))
    }

    /// Serves the backend until all of its connections have ended.
    fn wait_for_ends(&mut self) -> ModeResult {
        let end = Instant::now() + LAST_END;
        while self.backend.open() > 0 {
            if Instant::now() > end {
                return Err(format!("{} connections did not end", self.backend.open()).into());
            }
            settle(&mut self.net, &mut self.backend, Duration::from_millis(20))?;
        }
        Ok(())
    }

    /// Lets the clients send messages in turn at a fixed rate.
    fn talk(&mut self, time: Duration, report: Report) -> Result<Report, Box<dyn std::error::Error>> {
        let all = self.clients.len();
        let mut waiting = vec![false; all];
        let mut samples = Samples::default();
        let started = Instant::now();
        let (mut due, mut slot, mut late) = (started, 0, 0_u64);
        while started.elapsed() < time {
            if Instant::now() >= due {
                due += Duration::from_secs(1) / RATE;
                if waiting[slot] {
                    late += 1;
                } else {
                    waiting[slot] = true;
                    self.clients.send(slot, 64)?;
                }
                slot = (slot + 1) % all;
            }
            self.clients.round(&mut self.net, &mut self.backend, Duration::ZERO, |slot, time| {
                waiting[slot] = false;
                samples.add(time);
            })?;
        }
        let time = started.elapsed();
        let end = Instant::now() + LAST_ECHO;
        while waiting.contains(&true) && Instant::now() < end {
            self.clients.round(&mut self.net, &mut self.backend, Duration::ZERO, |slot, time| {
                waiting[slot] = false;
                samples.add(time);
            })?;
        }
        let missing = waiting.iter().filter(|waiting| **waiting).count() as u64;
        Ok(report
            .rate(samples.len() as f64, time)
            .latency(&mut samples)
            .number("late", late)
            .number("errors", self.backend.errors + missing))
    }
}
