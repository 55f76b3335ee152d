//! An echo every few milliseconds on an established connection, beside other load.
//!
//! This mode sleeps, because a spinning thread would take a core away from the proxy and distort its latency.

use super::{ModeResult, set_up};
use crate::args::Args;
use crate::echo_clients::EchoClients;
use crate::link::Tls;
use crate::net::{BACKEND, Ready};
use crate::report::Report;
use crate::samples::Samples;
use crate::short_clients::ShortClients;
use std::time::{Duration, Instant};

/// The maximum of concurrent connections beside the echo.
const SIDE: usize = 1000;

pub fn run(args: &Args) -> ModeResult {
    let (size, length) = (args.get("size", 1024usize)?, args.seconds("seconds", 5.0)?);
    let every = Duration::from_micros((args.get("every-ms", 5.0)? * 1000.0) as u64);
    let side_rate = args.get("side-rate", 0.0f64)?;
    let side_every = (side_rate > 0.0).then(|| Duration::from_secs_f64(1.0 / side_rate));
    let (mut net, mut backend, probe) = set_up(args)?;
    let mut echo_clients = EchoClients::new(args.target()?, "GET", Tls::of(args, "tls")?);
    echo_clients.open(&mut net, &mut backend, 1, 1)?;
    let (route, silent) = (args.text("side-route", "alpha"), args.get("side-silent", false)?);
    let mut short_clients =
        ShortClients::new(args.side_target()?, Tls::of(args, "side-tls")?, &route, silent, 1, SIDE);

    let (mut samples, mut beside) = (Samples::default(), Samples::default());
    let mut ready = Vec::new();
    let before = probe.usage();
    let started = Instant::now();
    let (mut echo_due, mut side_due) = (started, started);
    let (mut waiting, mut refused, mut late) = (false, 0u64, 0u64);
    loop {
        let now = Instant::now();
        if now - started >= length && !waiting {
            break;
        }
        if now - started >= length + Duration::from_secs(5) {
            return Err("the last echo did not come back".into());
        }
        if now >= echo_due {
            if waiting {
                late += 1;
            } else {
                echo_clients.send(0, size)?;
                waiting = true;
            }
            echo_due += every;
        }
        if let Some(every) = side_every.filter(|_| now >= side_due) {
            side_due += every;
            refused += u64::from(short_clients.start_any(&net)?.is_none());
        }
        let due = if side_every.is_some() { echo_due.min(side_due) } else { echo_due };
        // Timeouts of epoll are whole milliseconds. Busy polling in the last one would disturb a
        // proxy on this processor. A late send does no harm, because its clock starts at the send.
        let wait = due.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        net.poll(wait, &mut ready)?;
        for &Ready { token, ended } in &ready {
            if token >= BACKEND {
                backend.event(&net, token)?;
            } else if short_clients.owns(token) {
                if let Some((_, Some(time))) = short_clients.event(token, ended)? {
                    beside.add(time);
                }
            } else if let Some(time) = echo_clients.event(token)? {
                samples.add(time);
                waiting = false;
            }
        }
        backend.resume();
    }
    let time = started.elapsed();
    let usage = probe.usage().since(before);
    Report::new("paced")
        .work(samples.len() as f64, time, usage)
        .latency(&mut samples)
        .number("late", late)
        .number("side_done", beside.len())
        .number("side_p50_us", format_args!("{:.1}", beside.quantile(0.5)))
        .number("errors", short_clients.errors + backend.errors + refused)
        .print();
    Ok(())
}
