//! The engine of ProxyMachine: a TCP proxy whose routing decisions come from a [`Router`].
//!
//! For each client connection the bytes received so far go to a [`Router`], which answers with a
//! [`Verdict`]: wait for more, close, or connect to a [`Remote`]. Then the buffer is replayed to the
//! backend and the two connections are relayed. Every connection takes these steps:
//!
//! ```text
//! accept -> decide -> dial -> relay -> close        accept, session, dial, relay, session
//!             |         |       |        |
//!             Wait      retry   |        End: one reason, reported to the Observer
//!             Close             half-close, inactivity, backpressure
//! ```
//!
//! The crate does not depend on Ruby. The gem's extension implements [`Router`] with a Ruby block, the
//! tests with a closure:
//!
//! ```no_run
//! use std::sync::Arc;
//! use proxymachine_engine::{Config, Listener, Observer, Shutdown, Verdict, Engine};
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
//! let engine = Engine::start(listeners, Config::default(), router, Quiet, Arc::clone(&shutdown))?;
//! shutdown.drain(None);
//! engine.join();
//! # Ok::<(), proxymachine_engine::Error>(())
//! ```
#![deny(unsafe_code)] // Except in net/registration.rs and net/sys.rs
#![warn(missing_docs)]

pub mod config;
mod dial;
pub mod engine;
pub mod error;
pub mod limits;
pub mod listener;
pub mod net;
pub mod observer;
pub mod proxy_protocol;
pub mod relay;
pub mod router;
mod session;
pub mod tls;
pub mod upstream;

pub use config::Config;
pub use engine::shutdown::{DrainOutcome, Shutdown};
pub use engine::{Control, Engine};
pub use error::Error;
pub use limits::{KeyLimit, KeyLimits, LimitKey, Limits, Source, SourceLimit, SourceLimits};
pub use listener::unix_file::SocketFile;
pub use listener::{Endpoint, Listener};
pub use net::networks::Networks;
pub use net::socket::{Socket, process_forked};
pub use observer::Observer;
pub use observer::metrics::ListenerMetrics;
pub use observer::record::ConnectionRecord;
pub use observer::stats::Stats;
pub use observer::termination::{CodeInfo, DialError, End, Reason, TerminationCode};
pub use router::client::{Client, ConnectionId};
pub use router::remote::{InvalidRemote, Remote};
pub use router::verdict::{Route, RouterFault, StartTls, Target, TimedVerdict, Verdict};
pub use router::{Failure, Router};
pub use upstream::{Upstream, Upstreams};
