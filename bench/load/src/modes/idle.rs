//! Idle connections: memory per connection, CPU time and wake-ups.

use super::{ModeResult, set_up, settle};
use crate::args::Args;
use crate::echo_clients::EchoClients;
use crate::link::Tls;
use crate::net::{BACKEND, Net};
use crate::probe::{Memory, Probe};
use crate::report::Report;
use std::time::{Duration, Instant};

/// How long nothing moves before memory is measured: longer than it takes the proxy to find its connections idle.
const QUIET: Duration = Duration::from_millis(2_000);

/// Measures established connections after echoed 64 B messages and `--burst` bytes there and back.
pub fn run(args: &Args) -> ModeResult {
    let (clients, burst) = (args.get("clients", 1000usize)?, args.get("burst", 0usize)?);
    let (mut net, mut backend, probe) = set_up(args)?;
    let mut echo_clients = EchoClients::new(args.target()?, "GET", Tls::of(args, "tls")?);
    let empty = probe.memory();
    let mut report = Report::new("idle").number("clients", clients).number("empty_rss", empty.rss);

    let mut half = empty;
    for count in [clients / 2, clients] {
        let from = echo_clients.len();
        echo_clients.open(&mut net, &mut backend, count, 64)?;
        for size in [64, 64, burst] {
            echo_each(&mut net, &mut backend, &mut echo_clients, from, size)?;
        }
        settle(&mut net, &mut backend, QUIET)?;
        if count != clients {
            half = probe.memory();
        }
    }
    report = memory(report, probe, clients, empty, half);

    let hold = args.seconds("hold", 0.0)?;
    if !hold.is_zero() {
        let (before, started) = (probe.usage(), Instant::now());
        std::thread::sleep(hold);
        let (usage, seconds) = (probe.usage().since(before), started.elapsed().as_secs_f64());
        report = report
            .number("cpu_us_per_s", format_args!("{:.1}", usage.cpu_nanos as f64 / 1000.0 / seconds))
            .number("wakeups_per_s", format_args!("{:.1}", usage.switches as f64 / seconds));
    }
    // The idle connections must still work.
    echo_each(&mut net, &mut backend, &mut echo_clients, 0, 64)?;
    report.number("errors", backend.errors).print();
    Ok(())
}

/// Measures connections that have sent 100 bytes and wait for a decision.
pub fn undecided(args: &Args) -> ModeResult {
    let clients = args.get("clients", 1000usize)?;
    let (mut net, mut backend, probe) = set_up(args)?;
    let mut echo_clients = EchoClients::new(args.target()?, "PUT", Tls::of(args, "tls")?);
    let empty = probe.memory();
    let mut half = empty;
    for count in [clients / 2, clients] {
        echo_clients.open(&mut net, &mut backend, count, 64)?;
        settle(&mut net, &mut backend, QUIET)?;
        if count != clients {
            half = probe.memory();
        }
    }
    let report = Report::new("undecided").number("clients", clients).number("empty_rss", empty.rss);
    let report = memory(report, probe, clients, empty, half);
    let lost = clients - echo_clients.still_open();
    report.number("errors", lost as u64 + backend.accepted).print();
    Ok(())
}

fn echo_each(
    net: &mut Net,
    backend: &mut crate::backend::Backend,
    echo_clients: &mut EchoClients,
    from: usize,
    size: usize,
) -> ModeResult {
    debug_assert!(from < BACKEND);
    if size == 0 {
        return Ok(());
    }
    let end = Instant::now() + Duration::from_secs(60);
    for slot in from..echo_clients.len() {
        echo_clients.send(slot, size)?;
        while echo_clients.round(net, backend, Duration::ZERO, |_, _| {})? == 0 {
            if Instant::now() > end {
                return Err("an echo did not come back".into());
            }
        }
    }
    Ok(())
}

/// Reports bytes per connection above the empty process, and for the second half, which has no one-time costs.
fn memory(report: Report, probe: Probe, clients: usize, empty: Memory, half: Memory) -> Report {
    let full = probe.memory();
    let each = |more: u64, less: u64, count: usize| more.saturating_sub(less) as f64 / count as f64;
    report
        .number("rss", full.rss)
        .number("bytes_each", format_args!("{:.0}", each(full.rss, empty.rss, clients)))
        .number("pss_each", format_args!("{:.0}", each(full.pss, empty.pss, clients)))
        .number("bytes_each_marginal", format_args!("{:.0}", each(full.rss, half.rss, clients - clients / 2)))
}
