//! The engine of ProxyMachine: a TCP proxy whose routing is somebody else's business.
//!
//! For each client connection the bytes received so far go to a [`Router`], which answers with a
//! [`Verdict`]: wait for more, close, or connect to a [`Remote`]. Then the buffer is replayed to the
//! backend and the two connections become one. There is one way through the engine:
//!
//! ```text
//! accept -> decide -> dial -> relay -> close        server, session, dial, relay, session
//!             |         |       |        |
//!             Wait      retry   |        End: one reason, told to the Observer
//!             Close             half-close, inactivity, backpressure
//! ```
//!
//! Nothing here knows Ruby. The gem's extension implements [`Router`] by asking a Ruby block, the
//! tests implement it with a closure:
//!
//! ```no_run
//! use std::sync::Arc;
//! use proxymachine_engine::{Config, Listener, Observer, Shutdown, Verdict, server};
//!
//! struct Quiet;
//! impl Observer for Quiet {}
//!
//! let router = |_: &_, data: bytes::Bytes| {
//!     let verdict = match data.first() {
//!         Some(b'a') => Verdict::connect("127.0.0.1:9001".parse().unwrap()),
//!         _ => Verdict::Close(None),
//!     };
//!     std::future::ready(verdict)
//! };
//! let listeners = Listener::bind("127.0.0.1:5432", &Default::default())?;
//! let shutdown = Arc::new(Shutdown::new());
//! let engine = server::start(listeners, Config::default(), router, Quiet, Arc::clone(&shutdown))?;
//! shutdown.drain(None);
//! engine.join();
//! # Ok::<(), proxymachine_engine::Error>(())
//! ```
#![deny(unsafe_code)] // but in system.rs
#![warn(missing_docs)]

pub mod account;
mod bind;
pub mod client;
mod clock;
pub mod config;
mod connect;
mod decide;
mod dial;
pub mod error;
mod farewell;
mod keepalive;
pub mod listener;
#[cfg(target_os = "linux")]
mod loopback;
pub mod meters;
pub mod networks;
pub mod observer;
#[cfg(target_os = "linux")]
mod patience;
pub mod proxy_protocol;
pub mod relay;
pub mod remote;
mod resolve;
mod room;
pub mod router;
mod scratch;
pub mod server;
mod session;
pub mod shutdown;
pub mod socket;
mod socket_file;
#[cfg(target_os = "linux")]
mod splice;
pub mod stats;
pub mod stream;
mod system;
pub mod verdict;

pub use account::{Account, Code};
pub use client::Client;
pub use config::Config;
pub use error::Error;
pub use listener::{Endpoint, Listener};
pub use meters::Meters;
pub use networks::Networks;
pub use observer::{End, Observer};
pub use remote::{InvalidRemote, Remote};
pub use router::{Failure, Router};
pub use server::{Control, Engine};
pub use shutdown::{Outcome, Shutdown};
pub use socket::{Socket, process_forked};
pub use socket_file::SocketFile;
pub use stats::Stats;
pub use verdict::{Answer, Route, Verdict};
