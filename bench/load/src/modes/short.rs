//! Short connections, N clients at once: what a routing proxy does all day.

use super::{Outcome, stage};
use crate::args::Args;
use crate::callers::Callers;
use crate::net::{BACKEND, Ready};
use crate::report::Report;
use crate::samples::Samples;
use std::time::{Duration, Instant};

pub fn run(args: &Args) -> Outcome {
    let clients = args.get("clients", 32usize)?;
    let (warmup, length) = (args.seconds("warmup", 0.3)?, args.seconds("seconds", 2.0)?);
    let (mut net, mut backend, probe) = stage(args)?;
    let mut callers =
        Callers::new(args.target()?, &args.text("route", "alpha"), args.get("silent", false)?, 0, clients);

    let mut samples = Samples::default();
    let mut ready = Vec::new();
    for slot in 0..clients {
        callers.start(&net, slot)?;
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
            } else if let Some((slot, time)) = callers.event(token, ended)? {
                if let Some(time) = time {
                    samples.add(time);
                }
                callers.start(&net, slot)?;
            }
        }
        backend.resume();
    }
    let time = started.elapsed();
    let usage = probe.usage().since(before.unwrap_or_default());
    let stuck = callers.stuck(Duration::from_secs(1));
    Report::new("short")
        .number("clients", clients)
        .work(samples.len() as f64, time, usage)
        .latency(&mut samples)
        .number("spare", format_args!("{:.3}", net.spare.as_secs_f64() / time.as_secs_f64()))
        .number("slow", stuck)
        .number("errors", callers.errors + backend.errors)
        .print();
    Ok(())
}
