//! Who watches: log lines and counters hang here, and nothing of them in the engine.

use std::io;
use std::time::Duration;

use crate::proxy_protocol::Refusal;
use crate::{Account, Client, Remote, Route};

/// Why a connection ended. Each connection ends once, with one of these, unless it is cut off
/// ([`Observer::cut_off`]).
#[derive(Debug, Clone)]
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
    /// It was not decided in time where the client goes.
    DecisionTimeout {
        /// The limit.
        limit: Duration,
    },
    /// The listener expects a PROXY header of this client, and something else came; or the client is
    /// not trusted and sent one.
    BadHeader {
        /// What was wrong with it.
        reason: Refusal,
    },
    /// Still undecided when a drain had no more time for it.
    Undecided,
    /// No attempt to connect succeeded, which [`Observer::connect_failed`] was told of.
    ConnectFailed,
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
    /// Nothing moved for `Config::idle_timeout`.
    Idle {
        /// The backend.
        remote: Remote,
        /// The limit.
        limit: Duration,
    },
    /// The client left before the backend had answered, so its failure is nobody's error.
    ClientLeftFirst,
    /// The backend has answered, and both sides are done or one of them was reset.
    Relayed,
    /// The engine failed at this one: a defect.
    Failed,
}

/// Watches what happens to connections, on the engine's threads: it must not block them.
///
/// Every method has an empty default.
///
/// ```
/// # use proxymachine_engine::{Observer, Remote};
/// struct Printer;
/// impl Observer for Printer {
///     fn connected(&self, remote: &Remote) {
///         println!("connected to {remote}");
///     }
/// }
/// ```
pub trait Observer: Send + Sync + 'static {
    /// A client was accepted.
    fn accepted(&self, _client: &Client) {}

    /// A connect attempt begins.
    fn dialing(&self, _remote: &Remote) {}

    /// A connect attempt has failed, for whatever reason.
    fn dial_failed(&self, _remote: &Remote) {}

    /// A connect attempt cannot even begin for want of descriptors, ports or memory.
    fn dial_starved(&self, _remote: &Remote, _error: &io::Error) {}

    /// All of a route's backends failed, and there will be another round, the `retry`-th (from 1),
    /// which begins with `remote`.
    fn retrying(&self, _remote: &Remote, _retry: u32) {}

    /// The backend is connected.
    fn connected(&self, _remote: &Remote) {}

    /// None of a route's backends could be connected, in `rounds` rounds.
    fn connect_failed(&self, _client: &Client, _route: &Route, _rounds: u32) {}

    /// After [`Observer::connect_failed`] the router named another backend once too often.
    fn redirected_too_often(&self, _client: &Client, _limit: u32) {}

    /// A connection has ended. Its sockets close when the router has had its say.
    fn ended(&self, _client: &Client, _end: &End) {}

    /// A connection's sockets are closed, whether it ended by itself or was cut off: all that there is to say
    /// about it. Each one has this once.
    fn finished(&self, _client: &Client, _account: &Account) {}

    /// A connection's sockets are closed and it is no longer counted; `left` others are still open.
    fn closed(&self, _left: u64) {}

    /// A connection was cut off instead, since a drain had no more time for it: it is closed and no
    /// longer counted.
    fn cut_off(&self, _client: &Client) {}

    /// A connection could not be accepted; accepting goes on after a pause.
    fn accept_failed(&self, _error: &io::Error) {}

    /// `Config::max_connections` are open: no more are accepted until one ends.
    fn full(&self, _limit: usize) {}

    /// This engine thread is done; nothing more comes from it.
    fn thread_finished(&self) {}
}
