//! The client of a connection, as the router sees it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::net::zone::IpWithZone;
use crate::proxy_protocol::Header;
use crate::tls::TlsInfo;
use crate::{Endpoint, ListenerMetrics};

/// A client: its address, its listener, and the PROXY header about it.
#[derive(Debug, Clone)]
pub struct Client {
    /// `None` for a client of a Unix socket.
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) accepted: Instant,
    /// Number of the connection in this process.
    pub(crate) number: u64,
    /// Boxed, since most connections need no details.
    pub(crate) known: Option<Box<Known>>,
}

/// Details that cost a system call or come in a PROXY header.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) local: Option<SocketAddr>,
    pub(crate) header: Option<Header>,
    pub(crate) tls: Option<Arc<TlsInfo>>,
}

impl Client {
    /// Returns the client's address: the one in a trusted PROXY header, else that of its socket. `None` for a
    /// client of a Unix socket. An IPv4-mapped IPv6 address is returned as IPv4.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.header().and_then(|header| header.source).or(self.peer).map(canonical)
    }

    /// Returns the address that the client connected to: the one in a trusted PROXY header, else the local address
    /// of its socket, which is only looked up if [`Router::wants_local`](crate::Router::wants_local).
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        self.header().and_then(|header| header.destination).or(self.known.as_ref()?.local).map(canonical)
    }

    /// Returns the endpoint of the listener that accepted the client.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// Returns the PROXY header that a trusted proxy has sent.
    #[must_use]
    pub fn header(&self) -> Option<&Header> {
        self.known.as_ref()?.header.as_ref()
    }

    /// Returns what the TLS handshake has negotiated; `None` without TLS or before the handshake.
    #[must_use]
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.known.as_ref()?.tls.as_deref()
    }

    /// Returns the identifier of the connection.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        ConnectionId(self.number)
    }

    /// Returns the time since the accept.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.accepted.elapsed()
    }

    /// Returns the time of the accept.
    #[must_use]
    pub fn accepted(&self) -> Instant {
        self.accepted
    }

    /// Returns the metrics of the listener.
    pub(crate) fn metrics(&self) -> &ListenerMetrics {
        self.endpoint.metrics()
    }

    /// Creates a client that was just accepted.
    pub(crate) fn new(peer: Option<SocketAddr>, endpoint: Arc<Endpoint>) -> Self {
        Self { peer, endpoint, accepted: Instant::now(), number: 0, known: None }
    }
}

/// Converts an IPv4-mapped IPv6 address to IPv4. Other addresses keep their zone.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    }
}

/// Formats as `IP:PORT`, an IPv6 address without brackets, as 1.2.4 logged it. A client of a Unix socket has the
/// address of its listener.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address() {
            Some(address) => write!(f, "{}:{}", IpWithZone(address), address.port()),
            None => f.write_str(self.endpoint.address()),
        }
    }
}

/// The identifier of a connection: the process id and the number of the connection in the process, both in base 36,
/// such as `3mv-9ix`. Displaying it reads the process id, so that an identifier costs nothing until it is displayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionId(u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_base36(f, std::process::id().into())?;
        f.write_str("-")?;
        write_base36(f, self.0)
    }
}

fn write_base36(f: &mut fmt::Formatter<'_>, mut number: u64) -> fmt::Result {
    let mut digits = [0; 13]; // 36^13 > 2^64
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b"0123456789abcdefghijklmnopqrstuvwxyz"[(number % 36) as usize];
        number /= 36;
        if number == 0 {
            break;
        }
    }
    f.write_str(std::str::from_utf8(&digits[start..]).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Base36(u64);

    impl fmt::Display for Base36 {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write_base36(f, self.0)
        }
    }

    #[test]
    fn numbers_are_written_in_base_36() {
        let written = [0, 35, 36, 4711, u64::MAX].map(|number| Base36(number).to_string());
        assert_eq!(written, ["0", "z", "10", "3mv", "3w5e11264sgsf"]);
    }

    #[test]
    fn an_identifier_has_the_process_and_the_connection() {
        let process = Base36(std::process::id().into());
        assert_eq!(ConnectionId(37).to_string(), format!("{process}-11"));
    }
}
