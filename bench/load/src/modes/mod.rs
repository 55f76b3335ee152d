//! The modes: one file per kind of load.

mod bulk;
mod chunks;
mod crowd;
mod flood;
mod idle;
mod message;
mod paced;
mod short;
mod steady;

use crate::args::Args;
use crate::backend::Backend;
use crate::net::Net;
use crate::probe::Probe;
use std::error::Error;
use std::time::{Duration, Instant};

pub type ModeResult = Result<(), Box<dyn Error>>;
pub type Mode = fn(&Args) -> ModeResult;

pub fn find(name: &str) -> Option<Mode> {
    Some(match name {
        "short" => short::run,
        "message" => message::run,
        "bulk" => bulk::run,
        "idle" => idle::run,
        "undecided" => idle::undecided,
        "paced" => paced::run,
        "chunks" => chunks::run,
        "crowd" => crowd::run,
        "flood" => flood::run,
        "serve" => steady::serve,
        "steady" => steady::run,
        _ => return None,
    })
}

/// Sets up event loop, backend and probe. With `--everywhere true`, the backend listens at all addresses of the loopback.
fn set_up(args: &Args) -> Result<(Net, Backend, Probe), Box<dyn Error>> {
    let net = Net::new()?;
    let address = if args.get("everywhere", false)? { args.everywhere()? } else { args.backend()? };
    let backend = Backend::new(&net, address)?;
    Ok((net, backend, Probe::new(args.get("pid", 0)?)))
}

/// Serves the backend until `time` has passed, so that the proxy is quiet at the next measurement.
fn settle(net: &mut Net, backend: &mut Backend, time: Duration) -> ModeResult {
    let end = Instant::now() + time;
    let mut ready = Vec::new();
    while Instant::now() < end {
        net.poll(Duration::from_millis(10), &mut ready)?;
        for event in ready.iter().filter(|event| event.token >= crate::net::BACKEND) {
            backend.event(net, event.token)?;
        }
        backend.resume();
    }
    Ok(())
}
