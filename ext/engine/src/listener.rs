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
