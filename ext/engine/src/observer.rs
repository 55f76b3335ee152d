//! The events of the engine. Log lines and statistics are made from them outside of the engine.

pub mod metrics;
pub mod record;
pub mod stats;
pub mod termination;

use std::io;

use crate::limits::WorstSource;
use crate::tls::HandshakeError;
use crate::upstream::Change;
use crate::{Client, ConnectionRecord, DialError, End, Reason, Remote, Route, Target};

/// Receives the events of all connections, on the engine's threads unless a method says otherwise: a method must not block.
///
/// Every method has an empty default.
///
/// ```
/// # use proxymachine_engine::{Client, Observer, Remote};
/// struct Printer;
/// impl Observer for Printer {
///     fn connected(&self, _client: &Client, remote: &Remote) {
///         println!("connected to {remote}");
///     }
/// }
/// ```
pub trait Observer: Send + Sync + 'static {
    /// A client was accepted.
    fn accepted(&self, _client: &Client) {}

    /// The client is worth a log line. Follows `accepted` at once, unless `Config::dontlognull` is set: then it
    /// follows the client's first byte, or the decision or end that comes without one. A client that leaves
    /// without having sent a byte is not announced then.
    fn announced(&self, _client: &Client) {}

    /// A connect attempt begins.
    fn dialing(&self, _client: &Client, _remote: &Remote) {}

    /// A connect attempt has failed. `is_news` is true in the first round, and later for a reason that this client
    /// has not met yet.
    fn dial_failed(&self, _client: &Client, _remote: &Remote, _error: &DialError, _is_news: bool) {}

    /// The TLS handshake with a backend has failed. Follows [`Observer::dialing`] in place of
    /// [`Observer::dial_failed`].
    fn tls_failed(&self, _client: &Client, _remote: &Remote, _error: &HandshakeError) {}

    /// A connect attempt could not begin for want of descriptors, ports or memory.
    fn dial_starved(&self, _client: &Client, _remote: &Remote, _error: &io::Error) {}

    /// All backends of a route have failed, the last one for `reason`. Round number `retry` (from 1) follows and begins
    /// with `target`.
    fn retrying(&self, _client: &Client, _target: &Target, _retry: u32, _reason: Reason) {}

    /// The backend is connected.
    fn connected(&self, _client: &Client, _remote: &Remote) {}

    /// None of a route's backends could be connected, in `rounds` rounds. The last attempt failed for `reason`.
    fn connect_failed(&self, _client: &Client, _route: &Route, _rounds: u32, _reason: Reason) {}

    /// No server of an upstream had room, and the client's wait is over or the queue is full. Takes the place of
    /// [`Observer::connect_failed`].
    fn upstream_full(&self, _client: &Client, _upstream: &str) {}

    /// A server of an upstream is up or down, or none is up any more. May be called on any thread.
    fn upstream_changed(&self, _upstream: &str, _change: &Change) {}

    /// After [`Observer::connect_failed`] the router named another backend more than `limit` times.
    fn redirected_too_often(&self, _client: &Client, _limit: u32) {}

    /// The reason for a connection's end is known. The sockets are still open: the router may send a last
    /// message to the client. Not called for a connection that is cut off.
    fn connection_ended(&self, _client: &Client, _end: &End) {}

    /// Tells whether [`Observer::not_served`] keeps the client's bytes, some of which cost a system call.
    fn wants_first_bytes(&self) -> bool {
        false
    }

    /// A client that has sent `received` gets no backend, for the reason `end`. Without a PROXY header; after a TLS
    /// handshake the decrypted bytes. Precedes [`Observer::connection_ended`], so the record has no code yet. Only called
    /// if [`Observer::wants_first_bytes`].
    fn not_served(&self, _client: &Client, _record: &ConnectionRecord, _end: &End, _received: &[u8]) {}

    /// The record of a connection is complete and the sockets are closed. Called once for each connection,
    /// cut off or not.
    fn connection_recorded(&self, _client: &Client, _record: &ConnectionRecord) {}

    /// A connection that ended by itself is no longer counted; `left` others are still open. Follows
    /// [`Observer::connection_recorded`].
    fn connection_closed(&self, _left: u64) {}

    /// A connection was cut off because a drain had no more time for it, and is no longer counted. Follows
    /// [`Observer::connection_recorded`] in place of [`Observer::connection_closed`].
    fn connection_cut_off(&self, _client: &Client) {}

    /// A connection could not be accepted. Accepting continues after a pause.
    fn accept_failed(&self, _error: &io::Error) {}

    /// `Config::max_connections` are open. Accepting continues when one of them ends.
    fn connection_limit_reached(&self, _limit: usize) {}

    /// A source was over its limit. Called for the first connection that was closed for it, and then once a minute while
    /// further ones are.
    fn source_over_limit(&self, _worst: &WorstSource) {}

    /// Many connections of this engine thread have become quiet, and have freed memory, which an allocator may give back
    /// to the system.
    fn memory_freed(&self) {}

    /// This engine thread has ended and sends no more events.
    fn thread_finished(&self) {}
}
