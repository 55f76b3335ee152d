//! One file for each kind of load.

mod bulk;
mod chunks;
mod idle;
mod message;
mod paced;
mod short;

use crate::args::Args;
use crate::backend::Backend;
use crate::net::Net;
use crate::probe::Probe;
use std::error::Error;
use std::time::{Duration, Instant};

pub type Outcome = Result<(), Box<dyn Error>>;
pub type Mode = fn(&Args) -> Outcome;

pub fn find(name: &str) -> Option<Mode> {
    Some(match name {
        "short" => short::run,
        "message" => message::run,
        "bulk" => bulk::run,
        "idle" => idle::run,
        "undecided" => idle::undecided,
        "paced" => paced::run,
        "chunks" => chunks::run,
        _ => return None,
    })
}

/// What every mode starts from.
fn stage(args: &Args) -> Result<(Net, Backend, Probe), Box<dyn Error>> {
    let net = Net::new()?;
    let backend = Backend::new(&net, args.backend()?)?;
    Ok((net, backend, Probe::new(args.get("pid", 0)?)))
}

/// Lets what is under way come to its end, so that the next look sees a quiet proxy.
fn settle(net: &mut Net, backend: &mut Backend, time: Duration) -> Outcome {
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
