//! Serves invented counters, for work on the page: `cargo run -p proxymachine-admin --example sample`.

#[path = "../tests/sample/mod.rs"]
mod sample;

use std::sync::Arc;
use std::time::{Duration, Instant};

use proxymachine_admin::{Admin, State};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let admin = Admin::bind(&address, (None, None))?;
    println!("port {:?}, for an hour", admin.port());
    let _server = admin.start(Arc::new(sample::Sample { state: State::Running, started: Instant::now() }))?;
    std::thread::sleep(Duration::from_secs(3600));
    Ok(())
}
