//! Listening sockets: bound and listening before any thread exists, so that a taken port is a
//! start-up error and no connection is refused between start and the first accept.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

use socket2::{Domain, Protocol, Socket, Type};

use crate::Error;

/// Connections the kernel holds for us while we are busy; it caps this at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Binds every address that `host` has. Port 0 takes a free port on the first address only.
///
/// # Errors
/// [`Error::Resolve`] when the host has no address, [`Error::Bind`] when one of them cannot be
/// listened on.
pub fn bind(host: &str, port: u16) -> Result<Vec<TcpListener>, Error> {
    let resolve = |source| Error::Resolve { host: host.into(), source };
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let mut addresses: Vec<SocketAddr> = (bare, port).to_socket_addrs().map_err(resolve)?.collect();
    addresses.dedup();
    if addresses.is_empty() {
        return Err(resolve(io::ErrorKind::NotFound.into()));
    }
    if port == 0 {
        addresses.truncate(1);
    }

    let mut listeners = Vec::with_capacity(addresses.len());
    let mut last_error = None;
    for address in addresses {
        match listen(address) {
            Ok(listener) => listeners.push(listener),
            // A name may have an IPv6 address on a machine without IPv6.
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => last_error = Some(error),
            Err(source) => return Err(Error::Bind { address: format!("{host}:{port}"), source }),
        }
    }
    match last_error {
        Some(source) if listeners.is_empty() => {
            Err(Error::Bind { address: format!("{host}:{port}"), source })
        }
        _ => Ok(listeners),
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Accepted sockets inherit it on Linux, which saves a system call for each of them.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_0_takes_one_free_port() {
        let listeners = bind("localhost", 0).unwrap();
        assert_eq!(listeners.len(), 1);
        assert_ne!(listeners[0].local_addr().unwrap().port(), 0);
    }

    #[test]
    fn brackets_around_an_address_are_taken_off() {
        match bind("[::1]", 0) {
            Ok(listeners) => assert!(listeners[0].local_addr().unwrap().is_ipv6()),
            // A machine without IPv6 has understood the address all the same.
            Err(error) => assert!(matches!(error, Error::Bind { .. }), "{error}"),
        }
    }

    #[test]
    fn connections_are_queued_before_anybody_accepts() {
        let listeners = bind("127.0.0.1", 0).unwrap();
        let address = listeners[0].local_addr().unwrap();
        let clients: Vec<_> = (0..200).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        assert_eq!(clients.len(), 200);
    }

    #[test]
    fn a_taken_port_is_named() {
        let taken = bind("127.0.0.1", 0).unwrap();
        let port = taken[0].local_addr().unwrap().port();
        let error = bind("127.0.0.1", port).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on 127.0.0.1:{port}: Address already in use"));
    }

    #[test]
    fn a_host_that_does_not_resolve_is_named() {
        let error = bind("no-such-host.invalid", 80).unwrap_err();
        assert!(error.to_string().starts_with("cannot resolve no-such-host.invalid: "), "{error}");
    }
}
