//! Load generator and backend of `ProxyMachine`'s benchmarks: one thread that never sleeps, so that its wake-ups
//! are not charged to the proxy. A run prints one line of JSON. See bench/README.md.

mod args;
mod backend;
mod bulk_io;
mod echo_clients;
mod link;
mod modes;
mod net;
mod payload;
mod probe;
mod report;
mod samples;
mod short_clients;
mod stream;

use args::Args;
use std::process::ExitCode;

const USAGE: &str = "usage: load MODE --target PORT --backend PORT [--pid PROXY] [--tls none|full|resumed] [--name value ...]
  short     --clients 32 --seconds 2 --warmup 0.3 --route alpha [--silent true]   connect, 100 B, reply, end
  message   --clients 1 --size 64 --seconds 2 --warmup 0.3                        ping-pong over kept connections
  bulk      --clients 1 --mib 1024 --direction down|up                            one way, all connections together
  idle      --clients 1000 --burst 0 --hold 0                                     memory, CPU and wake-ups while idle
  undecided --clients 1000                                                        100 B each and no decision
  paced     --every-ms 5 --size 1024 --seconds 5 [--side-rate 20 --side-route slow --side-silent true
                                                                                  --side-target PORT --side-tls full]
  chunks    --clients 256 --chunks 100 --seconds 2                                decisions without connections
  flood     --rate 20000 --sources 1 --allowed 10 --seconds 5 --every-ms 5        clients that are closed at once, beside others
  serve                                                                           the backend alone, until it is killed
  steady    --rate 500 --seconds 3                                                connections at a rate, to other backends
  crowd                                                                           many connections: steps on stdin";

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
