//! The interface of the code that decides where connections go.

pub mod client;
pub mod remote;
pub mod verdict;

use std::future::{Future, Ready};

use bytes::Bytes;

use crate::{Client, TimedVerdict, Verdict};

/// Decides where a connection goes.
///
/// The engine asks once for each chunk of an undecided connection, and not again after a decision. If the
/// connection ends first, the engine drops the returned future.
///
/// A method that returns `None` has no opinion. A closure is a router, too:
///
/// ```
/// # use proxymachine_engine::{Client, Router, Verdict};
/// # fn is_router(_: impl Router) {}
/// is_router(|_: &Client, data: bytes::Bytes| {
///     std::future::ready(if data.ends_with(b"\n") { Verdict::Close(None) } else { Verdict::Wait(None) })
/// });
/// ```
pub trait Router: Send + Sync + 'static {
    /// Returns a verdict on `data`: everything that `client` has sent so far, never empty.
    fn route(&self, client: &Client, data: Bytes) -> impl Future<Output = TimedVerdict> + Send;

    /// Tells whether the router reads [`Client::local`], which costs a system call.
    fn wants_local(&self) -> bool {
        false
    }

    /// Tells whether the router reads [`Limits::connections`](crate::Limits::connections). If so, connections are counted
    /// by source, even without a limit.
    fn wants_connections(&self) -> bool {
        false
    }

    /// Returns a verdict before `client` has sent anything, for protocols in which the server speaks first.
    fn accepted(&self, _client: &Client) -> Option<impl Future<Output = TimedVerdict> + Send> {
        None::<Ready<TimedVerdict>>
    }

    /// Returns a verdict after `Config::decision_timeout` on `data`, which may be empty. [`Verdict::Wait`] grants
    /// the same time again.
    fn timed_out(&self, _client: &Client, _data: Bytes) -> Option<impl Future<Output = TimedVerdict> + Send> {
        None::<Ready<TimedVerdict>>
    }

    /// Returns a verdict after a backend, named as in the route, has failed: a last message for the client or, if no
    /// backend could be connected, another route.
    fn failed(
        &self,
        _client: &Client,
        _failure: Failure,
        _remote: String,
    ) -> Option<impl Future<Output = Option<Verdict>> + Send> {
        None::<Ready<Option<Verdict>>>
    }
}

/// The failure of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The connect failed.
    Connect,
    /// The backend closed without having sent a byte.
    Premature,
    /// The backend did not send its first byte in time.
    Inactivity,
}

impl<F, A> Router for F
where
    F: Fn(&Client, Bytes) -> A + Send + Sync + 'static,
    A: Future<Output = Verdict> + Send,
{
    fn route(&self, client: &Client, data: Bytes) -> impl Future<Output = TimedVerdict> + Send {
        let verdict = self(client, data);
        async { verdict.await.into() }
    }
}
