//! Who is asking.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::proxy_protocol::Header;
use crate::{Endpoint, Meters};

/// A client: where it comes from, where it came in, and what was said about it.
#[derive(Debug, Clone)]
pub struct Client {
    /// None for a client of a Unix socket.
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) accepted: Instant,
    /// Boxed, since most connections are never asked about it.
    pub(crate) known: Option<Box<Known>>,
}

/// What is only found out when somebody wants to know.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) local: Option<SocketAddr>,
    pub(crate) header: Option<Header>,
}

impl Client {
    /// The client's address: what a trusted PROXY header named, else its socket's. None for a client
    /// of a Unix socket. That of an IPv4 client is one of IPv4, though a listener for both families sees
    /// it as IPv6.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.header().and_then(|header| header.source).or(self.peer).map(canonical)
    }

    /// The address that it connected to: what a trusted PROXY header named, else this end of its
    /// socket, which is only looked up if [`Router::wants_local`](crate::Router::wants_local).
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        self.header().and_then(|header| header.destination).or(self.known.as_ref()?.local).map(canonical)
    }

    /// The listener that it came in at.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// What a trusted load balancer said about it.
    #[must_use]
    pub fn header(&self) -> Option<&Header> {
        self.known.as_ref()?.header.as_ref()
    }

    /// Time since it was accepted.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.accepted.elapsed()
    }

    /// When it was accepted.
    #[must_use]
    pub fn accepted(&self) -> Instant {
        self.accepted
    }

    /// What is counted where it came in.
    pub(crate) fn meters(&self) -> &Meters {
        self.endpoint.meters()
    }

    /// The same before anything is known but its address.
    pub(crate) fn new(peer: Option<SocketAddr>, endpoint: Arc<Endpoint>) -> Self {
        Self { peer, endpoint, accepted: Instant::now(), known: None }
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// `IP:PORT`, an IPv6 address without brackets, as 1.2.4 logged it; a client of a Unix socket is called
/// by the socket.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address() {
            Some(address) => write!(f, "{}:{}", address.ip(), address.port()),
            None => f.write_str(self.endpoint.address()),
        }
    }
}
