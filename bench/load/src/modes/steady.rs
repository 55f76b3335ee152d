//! Short connections at a steady rate to backends that run on their own, since some of them fail. And such a backend.
//!
//! The clients sleep between their connections, so that proxy and backends get a processor.

use super::ModeResult;
use crate::args::Args;
use crate::backend::Backend;
use crate::link::Tls;
use crate::net::{Net, Ready};
use crate::samples::Samples;
use crate::short_clients::ShortClients;
use std::time::{Duration, Instant};

/// The maximum of clients at once.
const MAX_CLIENTS: usize = 10_000;

/// Time that the last clients have after the end.
const LAST_CLIENTS: Duration = Duration::from_secs(30);

/// Serves until the process is killed.
pub fn serve(args: &Args) -> ModeResult {
    let mut net = Net::new()?;
    let mut backend = Backend::new(&net, args.backend()?)?;
    let mut ready = Vec::new();
    loop {
        net.poll(Duration::from_millis(100), &mut ready)?;
        for event in &ready {
            backend.event(&net, event.token)?;
        }
        backend.resume();
    }
}

/// Prints one line for each second: its number, and the connections that began in it and their times in microseconds.
pub fn run(args: &Args) -> ModeResult {
    let every = Duration::from_secs_f64(1.0 / args.get("rate", 500.0)?);
    let length = args.seconds("seconds", 3.0)?;
    let mut net = Net::new()?;
    let tls = Tls::of(args, "tls")?;
    let mut clients =
        ShortClients::new(args.target()?, tls, &args.text("route", "alpha"), false, 0, MAX_CLIENTS);
    let mut seconds: Vec<Second> = Vec::new();
    seconds.resize_with(length.as_secs() as usize + 1, Second::default);
    let mut began = vec![0; MAX_CLIENTS];
    let (mut ready, mut open) = (Vec::new(), 0_usize);
    let started = Instant::now();
    let mut due = started;
    loop {
        let now = Instant::now();
        let is_over = now - started >= length;
        if is_over && (open == 0 || now - started >= length + LAST_CLIENTS) {
            break;
        }
        if !is_over && now >= due {
            due += every;
            let second = (now - started).as_secs() as usize;
            seconds[second].begun += 1;
            if let Some(slot) = clients.start_any(&net)? {
                began[slot] = second;
                open += 1;
            }
        }
        let wait = if is_over { LAST_CLIENTS } else { due.saturating_duration_since(Instant::now()) };
        net.poll(wait.max(Duration::from_millis(1)), &mut ready)?;
        for &Ready { token, ended } in &ready {
            if let Some((slot, time)) = clients.event(token, ended)? {
                open -= 1;
                if let Some(time) = time {
                    seconds[began[slot]].times.add(time);
                }
            }
        }
    }
    for (number, second) in seconds.iter_mut().enumerate().filter(|(_, second)| second.begun > 0) {
        let (served, times) = (second.times.len(), &mut second.times);
        let (p50, p99, max) = (times.quantile(0.5), times.quantile(0.99), times.quantile(1.0));
        println!(
            r#"{{"second":{number},"begun":{},"served":{served},"p50_us":{p50:.1},"p99_us":{p99:.1},"max_us":{max:.1}}}"#,
            second.begun
        );
    }
    Ok(())
}

/// The connections that began within one second.
#[derive(Default)]
struct Second {
    begun: u64,
    times: Samples,
}
