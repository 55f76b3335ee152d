//! Short connections of N concurrent clients.

use super::{ModeResult, set_up};
use crate::args::Args;
use crate::link::Tls;
use crate::net::{BACKEND, Ready};
use crate::report::Report;
use crate::samples::Samples;
use crate::short_clients::ShortClients;
use std::time::{Duration, Instant};

pub fn run(args: &Args) -> ModeResult {
    let clients = args.get("clients", 32usize)?;
    let (warmup, length) = (args.seconds("warmup", 0.3)?, args.seconds("seconds", 2.0)?);
    let (mut net, mut backend, probe) = set_up(args)?;
    let mut short_clients = ShortClients::new(
        args.target()?,
        Tls::of(args, "tls")?,
        &args.text("route", "alpha"),
        args.get("silent", false)?,
        0,
        clients,
    );

    let mut samples = Samples::default();
    let mut ready = Vec::new();
    for slot in 0..clients {
        short_clients.start(&net, slot)?;
    }
    let mut started = Instant::now();
    let mut before = None;
    loop {
        let now = net.poll(Duration::ZERO, &mut ready)?;
        if before.is_none() && now - started >= warmup {
            samples.clear();
            net.spare = Duration::ZERO;
            before = Some(probe.usage());
            started = Instant::now();
        }
        if before.is_some() && now.saturating_duration_since(started) >= length {
            break;
        }
        for &Ready { token, ended } in &ready {
            if token >= BACKEND {
                backend.event(&net, token)?;
            } else if let Some((slot, time)) = short_clients.event(token, ended)? {
                if let Some(time) = time {
                    samples.add(time);
                }
                short_clients.start(&net, slot)?;
            }
        }
        backend.resume();
    }
    let time = started.elapsed();
    let usage = probe.usage().since(before.unwrap_or_default());
    let overdue = short_clients.overdue(Duration::from_secs(1));
    Report::new("short")
        .number("clients", clients)
        .work(samples.len() as f64, time, usage)
        .latency(&mut samples)
        .number("spare", format_args!("{:.3}", net.spare.as_secs_f64() / time.as_secs_f64()))
        .number("slow", overdue)
        .number("errors", short_clients.errors + backend.errors)
        .print();
    Ok(())
}
