//! What can keep the engine from starting.
//!
//! Trouble of one connection is not an error of the engine: it is that connection's [`End`].
//!
//! [`End`]: crate::End

use std::io;

/// A start-up failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What to listen on is no address.
    #[error("cannot listen on {address:?}: expected \"host:port\", \"unix:/path\" or \"unix:@name\"")]
    Address {
        /// As given.
        address: String,
    },
    /// The host to listen on is no address and no name that resolves.
    #[error("cannot resolve {host}: {}", plain(source))]
    Resolve {
        /// The host as given.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The address is taken, privileged or not of this machine.
    #[error("cannot listen on {address}: {}", plain(source))]
    Bind {
        /// Host and port as given.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The system gave no thread, no epoll descriptor or the like.
    #[error("cannot start the engine: {}", plain(.0))]
    Start(#[from] io::Error),
}

/// What the system said, without Rust's "(os error 98)".
#[must_use]
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
