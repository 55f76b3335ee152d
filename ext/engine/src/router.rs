//! Who decides.

use std::future::{Future, Ready};

use bytes::Bytes;

use crate::{Answer, Client, Verdict};

/// Decides where a connection goes.
///
/// It is asked once for each chunk of an undecided connection and never again once it has decided.
/// If the connection ends first, the returned future is dropped.
///
/// What returns an `Option` is not asked at all where that is `None`. A closure is a router, too:
///
/// ```
/// # use proxymachine_engine::{Client, Router, Verdict};
/// # fn is_router(_: impl Router) {}
/// is_router(|_: &Client, data: bytes::Bytes| {
///     std::future::ready(if data.ends_with(b"\n") { Verdict::Close(None) } else { Verdict::Wait(None) })
/// });
/// ```
pub trait Router: Send + Sync + 'static {
    /// `data` is everything that `client` has sent so far, never empty.
    fn route(&self, client: &Client, data: Bytes) -> impl Future<Output = Answer> + Send;

    /// Whether it looks at [`Client::local`], which costs a system call.
    fn wants_local(&self) -> bool {
        false
    }

    /// Before `client` has sent anything: for protocols in which the server speaks first.
    fn accepted(&self, _client: &Client) -> Option<impl Future<Output = Answer> + Send> {
        None::<Ready<Answer>>
    }

    /// `Config::decision_timeout` is over; `data` is all that has come, perhaps nothing. To wait means
    /// to wait as long again.
    fn timed_out(&self, _client: &Client, _data: Bytes) -> Option<impl Future<Output = Answer> + Send> {
        None::<Ready<Answer>>
    }

    /// The backend, named as in the route, failed. The answer may have last words for the client, or,
    /// if nothing could be connected, another route.
    fn failed(
        &self,
        _client: &Client,
        _failure: Failure,
        _remote: String,
    ) -> Option<impl Future<Output = Option<Verdict>> + Send> {
        None::<Ready<Option<Verdict>>>
    }
}

/// How a backend failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It could not be reached.
    Connect,
    /// It was connected and closed without having sent a byte.
    Premature,
    /// It did not send its first byte in time.
    Inactivity,
}

impl<F, A> Router for F
where
    F: Fn(&Client, Bytes) -> A + Send + Sync + 'static,
    A: Future<Output = Verdict> + Send,
{
    fn route(&self, client: &Client, data: Bytes) -> impl Future<Output = Answer> + Send {
        let verdict = self(client, data);
        async { verdict.await.into() }
    }
}
