//! Load generator and backend of `ProxyMachine`'s benchmarks: one process, one thread, never asleep, so that its wake-ups
//! are not charged to the proxy. Each run prints one line of JSON. See ../README.md.

mod args;
mod backend;
mod bulk_io;
mod callers;
mod modes;
mod net;
mod payload;
mod probe;
mod report;
mod samples;
mod stream;
mod talkers;

use args::Args;
use std::process::ExitCode;

const USAGE: &str = "usage: load MODE --target PORT --backend PORT [--pid PROXY] [--name value ...]
  short     --clients 32 --seconds 2 --warmup 0.3 --route alpha [--silent true]   connect, 100 B, reply, end
  message   --clients 1 --size 64 --seconds 2 --warmup 0.3                        ping-pong over kept connections
  bulk      --clients 1 --mib 1024 --direction down|up                            one way, all connections together
  idle      --clients 1000 --burst 0 --hold 0                                     memory, CPU and wake-ups while idle
  undecided --clients 1000                                                        100 B each and no decision
  paced     --every-ms 5 --size 1024 --seconds 5 [--side-rate 20 --side-route slow --side-silent true]
  chunks    --clients 256 --chunks 100 --seconds 2                                decisions without connections";

fn main() -> ExitCode {
    let run = || -> Result<(), String> {
        let args = Args::parse(std::env::args().skip(1)).map_err(|e| format!("{e}\n{USAGE}"))?;
        let mode = modes::find(&args.mode).ok_or_else(|| format!("no such mode: {}\n{USAGE}", args.mode))?;
        mode(&args).map_err(|e| format!("{}: {e}", args.mode))
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("load: {message}");
            ExitCode::FAILURE
        }
    }
}
