//! Who decides.

use std::future::Future;
use std::net::SocketAddr;

use bytes::Bytes;

use crate::Verdict;

/// Decides where a connection goes.
///
/// It is asked once for each chunk of an undecided connection and never again once it has decided.
/// If the connection ends first, the returned future is dropped.
pub trait Router: Send + Sync + 'static {
    /// `data` is everything that `client` has sent so far, never empty.
    fn route(&self, client: &SocketAddr, data: Bytes) -> impl Future<Output = Verdict> + Send;
}

impl<F, A> Router for F
where
    F: Fn(&SocketAddr, Bytes) -> A + Send + Sync + 'static,
    A: Future<Output = Verdict> + Send,
{
    fn route(&self, client: &SocketAddr, data: Bytes) -> impl Future<Output = Verdict> + Send {
        self(client, data)
    }
}
