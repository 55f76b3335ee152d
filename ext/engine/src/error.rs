//! Errors that prevent the engine from starting. A failure of one connection is the [`End`] of that connection.
//!
//! [`End`]: crate::End

use std::io;

/// A start-up failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address to listen on is malformed.
    #[error("cannot listen on {address:?}: expected \"host:port\", \"unix:/path\" or \"unix:@name\"")]
    Address {
        /// The address as given.
        address: String,
    },
    /// The host to listen on does not resolve.
    #[error("cannot resolve {host}: {}", plain(source))]
    Resolve {
        /// The host as given.
        host: String,
        /// The resolver's error.
        source: io::Error,
    },
    /// The address is taken, privileged or not local.
    #[error("cannot listen on {address}: {}", plain(source))]
    Bind {
        /// Host and port as given.
        address: String,
        /// The system's error.
        source: io::Error,
    },
    /// The system gave no thread or no epoll descriptor.
    #[error("cannot start the engine: {}{}", plain(.0), cure(.0))]
    Start(#[from] io::Error),
}

/// Returns the limit to raise after a thread or a descriptor was refused.
fn cure(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::WouldBlock => ": raise the limit of processes and threads (ulimit -u, TasksMax=)",
        _ if error.to_string().starts_with("Too many open files") => {
            ": raise the limit of descriptors (ulimit -n)"
        }
        _ => "",
    }
}

/// Returns the system's message without Rust's "(os error 98)".
#[must_use]
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
