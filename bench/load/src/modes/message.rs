//! Small messages there and back over long-lived connections.

use super::{ModeResult, set_up};
use crate::args::Args;
use crate::echo_clients::EchoClients;
use crate::link::Tls;
use crate::report::Report;
use crate::samples::Samples;
use std::time::{Duration, Instant};

pub fn run(args: &Args) -> ModeResult {
    let (clients, size) = (args.get("clients", 1usize)?, args.get("size", 64usize)?);
    let (warmup, length) = (args.seconds("warmup", 0.3)?, args.seconds("seconds", 2.0)?);
    let (mut net, mut backend, probe) = set_up(args)?;
    let mut echo_clients = EchoClients::new(args.target()?, "GET", Tls::of(args, "tls")?);
    echo_clients.open(&mut net, &mut backend, clients, 32)?;

    let mut samples = Samples::default();
    let mut answered = Vec::new();
    let mut started = Instant::now();
    let mut before = None;
    for slot in 0..clients {
        echo_clients.send(slot, size)?;
    }
    loop {
        echo_clients.round(&mut net, &mut backend, Duration::ZERO, |slot, time| {
            samples.add(time);
            answered.push(slot);
        })?;
        for slot in answered.drain(..) {
            echo_clients.send(slot, size)?;
        }
        if before.is_none() && started.elapsed() >= warmup {
            samples.clear();
            net.spare = Duration::ZERO;
            before = Some(probe.usage());
            started = Instant::now();
        }
        if before.is_some() && started.elapsed() >= length {
            break;
        }
    }
    let time = started.elapsed();
    let usage = probe.usage().since(before.unwrap_or_default());
    Report::new("message")
        .number("clients", clients)
        .work(samples.len() as f64, time, usage)
        .latency(&mut samples)
        .number("spare", format_args!("{:.3}", net.spare.as_secs_f64() / time.as_secs_f64()))
        .number("errors", backend.errors)
        .print();
    Ok(())
}
