//! A hundred thousand connections. Steps come on standard input, one in a line; each prints one line of JSON:
//! `open N`, `idle SECONDS`, `talk SECONDS`, `close`, and `proxy PID` for another process to observe.

use super::{ModeResult, settle};
use crate::args::Args;
use crate::backend::Backend;
use crate::echo_clients::EchoClients;
use crate::link::Tls;
use crate::net::Net;
use crate::probe::{Memory, Probe};
use crate::report::Report;
use crate::samples::Samples;
use std::time::{Duration, Instant};

/// Clients of one source address, and connections of the proxy to one backend address: below the range of ephemeral
/// ports (ip(7), `ip_local_port_range`).
const PER_SOURCE: usize = 20_000;

/// Connections that are opened at a time.
const CONCURRENCY: usize = 256;

/// One client in so many talks.
const TALKER: usize = 100;

/// Messages per second, of all talkers together.
const RATE: u32 = 1000;

/// Limit of the time until the last echo.
const LAST_ECHO: Duration = Duration::from_secs(5);

/// Limit of the time until the last connection has ended.
const LAST_END: Duration = Duration::from_secs(60);

const QUIET: Duration = Duration::from_secs(2);

struct Crowd {
    net: Net,
    backend: Backend,
    probe: Probe,
    clients: EchoClients,
    empty: Memory,
}

pub fn run(args: &Args) -> ModeResult {
    let net = Net::new()?;
    let backend = Backend::new(&net, args.everywhere()?)?;
    let probe = Probe::new(args.get("pid", 0)?);
    let clients = EchoClients::new(args.target()?, "GET", Tls::of(args, "tls")?).spread(PER_SOURCE);
    let mut crowd = Crowd { net, backend, probe, clients, empty: probe.memory() };
    for line in std::io::stdin().lines() {
        let line = line?;
        let (step, number) = line.split_once(' ').unwrap_or((&line, "0"));
        let number: usize = number.parse()?;
        let seconds = Duration::from_secs(number as u64);
        let report = Report::new(step);
        match step {
            "open" => crowd.open(number, report)?,
            "idle" => crowd.idle(seconds, report),
            "talk" => crowd.talk(seconds, report)?,
            "proxy" => {
                crowd.probe = Probe::new(u32::try_from(number)?);
                report
            }
            "close" => {
                crowd.clients =
                    EchoClients::new(args.target()?, "GET", Tls::of(args, "tls")?).spread(PER_SOURCE);
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
    fn open(&mut self, count: usize, report: Report) -> Result<Report, Box<dyn std::error::Error>> {
        let from = self.clients.len();
        let (started, before) = (Instant::now(), self.probe.usage());
        // Each call of open() has a time limit.
        for next in (from..count).step_by(PER_SOURCE / 4).skip(1).chain([count]) {
            self.clients.open(&mut self.net, &mut self.backend, next, CONCURRENCY)?;
        }
        let report = report.work((count - from) as f64, started.elapsed(), self.probe.usage().since(before));
        settle(&mut self.net, &mut self.backend, QUIET)?;
        let rss = self.probe.memory().rss;
        let each = rss.saturating_sub(self.empty.rss) as f64 / count as f64;
        Ok(report.number("rss", rss).number("bytes_each", format_args!("{each:.0}")))
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

    fn idle(&mut self, time: Duration, report: Report) -> Report {
        let (started, before) = (Instant::now(), self.probe.usage());
        std::thread::sleep(time);
        let (usage, seconds) = (self.probe.usage().since(before), started.elapsed().as_secs_f64());
        report
            .number("cpu_us_per_s", format_args!("{:.1}", usage.cpu_nanos as f64 / 1000.0 / seconds))
            .number("wakeups_per_s", format_args!("{:.1}", usage.switches as f64 / seconds))
    }

    /// Lets one client in a hundred, but a hundred at least, send messages in turn at a fixed rate.
    fn talk(&mut self, time: Duration, report: Report) -> Result<Report, Box<dyn std::error::Error>> {
        let all = self.clients.len();
        let step = TALKER.min(all.div_ceil(TALKER));
        let mut waiting = vec![false; all];
        let mut samples = Samples::default();
        let (started, before) = (Instant::now(), self.probe.usage());
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
                slot = if slot + step < all { slot + step } else { 0 };
            }
            self.clients.round(&mut self.net, &mut self.backend, Duration::ZERO, |slot, time| {
                waiting[slot] = false;
                samples.add(time);
            })?;
        }
        let (time, usage) = (started.elapsed(), self.probe.usage().since(before));
        let end = Instant::now() + LAST_ECHO;
        while waiting.contains(&true) && Instant::now() < end {
            self.clients.round(&mut self.net, &mut self.backend, Duration::ZERO, |slot, time| {
                waiting[slot] = false;
                samples.add(time);
            })?;
        }
        let missing = waiting.iter().filter(|waiting| **waiting).count() as u64;
        Ok(report
            .work(samples.len() as f64, time, usage)
            .latency(&mut samples)
            .number("late", late)
            .number("errors", self.backend.errors + missing))
    }
}
