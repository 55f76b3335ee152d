//! Who watches: log lines, counters and callbacks hang here, and nothing of them in the engine.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::Remote;

/// Why a connection ended. Each connection ends once, with one of these, unless it is cut off
/// ([`Observer::cut_off`]).
#[derive(Debug)]
pub enum End {
    /// The client left, by FIN or RST, before it was decided where it goes.
    ClientLeft,
    /// The router said so.
    Refused,
    /// The client sent `Config::max_preread` bytes and the router still wanted more.
    PrereadFull {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Still undecided when a drain had no more time for it.
    Undecided,
    /// No attempt to connect succeeded.
    ConnectFailed {
        /// The backend that was tried.
        remote: Remote,
    },
    /// The backend closed before it had sent a byte.
    ClosedPrematurely {
        /// The backend that closed.
        remote: Remote,
    },
    /// The backend did not send its first byte in time.
    Inactive {
        /// The backend that was silent.
        remote: Remote,
        /// Time since it was connected.
        elapsed: Duration,
        /// The limit that it exceeded.
        limit: Duration,
    },
    /// The client left before the backend had answered, so its failure is nobody's error.
    ClientLeftFirst,
    /// Relayed to its end: by both sides' FIN, a reset, or a timeout after the first answer.
    Relayed,
    /// A defect: the router or the engine panicked.
    Failed,
}

/// Is told what happens to connections, on the engine's threads: it must not block them.
///
/// Every method has an empty default.
pub trait Observer: Send + Sync + 'static {
    /// A client was accepted.
    fn accepted(&self, _client: &SocketAddr) {}

    /// A connect attempt begins.
    fn dialing(&self, _remote: &Remote) {}

    /// A connect attempt failed, and there will be a retry, the `retry`-th (from 1).
    fn retrying(&self, _remote: &Remote, _retry: u32) {}

    /// The backend is connected.
    fn connected(&self, _remote: &Remote) {}

    /// A connection has ended. Its sockets close when the returned future is done, so that whoever
    /// sees the end of the connection can rely on what was done here.
    fn ended(&self, _client: &SocketAddr, _end: End) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// A connection's sockets are closed and it is no longer counted; `left` others are still open.
    fn closed(&self, _left: u64) {}

    /// A connection was cut off instead, since a drain had no more time for it: it is closed and no
    /// longer counted.
    fn cut_off(&self, _client: &SocketAddr) {}

    /// A connection could not be accepted; accepting goes on after a pause.
    fn accept_failed(&self, _error: &io::Error) {}

    /// This engine thread is done; nothing more comes from it.
    fn thread_finished(&self) {}
}
