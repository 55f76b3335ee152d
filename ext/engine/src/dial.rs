//! To the backend: resolve, connect, try again.

use std::io::{self, Write};
use std::net::{self, SocketAddr};

use bytes::{Buf, Bytes};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};

use crate::{Config, Observer, Remote, Route};

/// Connects to `route.remote`, each attempt resolving anew. `None` when no attempt succeeded.
///
/// The beginning of `first`, perhaps all of it, is sent on the way and taken out of it.
pub(crate) async fn dial(
    config: &Config,
    observer: &impl Observer,
    route: &Route,
    first: &mut Bytes,
) -> Option<TcpStream> {
    let remote = &route.remote;
    for retry in 0..=config.connect_retries {
        if retry > 0 {
            observer.retrying(remote, retry);
            sleep(config.retry_delay).await;
        }
        observer.dialing(remote);
        if let Ok(Ok(server)) = timeout(route.connect_timeout, connect(remote, first)).await {
            observer.connected(remote);
            return Some(server);
        }
    }
    None
}

/// Tries each address of `remote`, in the resolver's order. A literal never sees the resolver,
/// which works on a thread of its own.
async fn connect(remote: &Remote, first: &mut Bytes) -> io::Result<TcpStream> {
    if let Some(address) = remote.literal() {
        return connect_to(address, first).await;
    }
    let mut result = Err(io::ErrorKind::NotFound.into());
    for address in lookup_host((remote.host(), remote.port())).await? {
        result = connect_to(address, first).await;
        if result.is_ok() {
            break;
        }
    }
    result
}

/// The first write tells whether the connection stands. A near backend has accepted by the time
/// that connect(2) returns, so mostly nothing has to be waited for, and no timer is set.
async fn connect_to(address: SocketAddr, first: &mut Bytes) -> io::Result<TcpStream> {
    let server = begin(address)?;
    match (&server).write(first) {
        Ok(count) if count > 0 => {
            first.advance(count);
            return TcpStream::from_std(server);
        }
        Ok(_) => {}
        Err(error) if is_in_progress(&error) => {}
        Err(error) => return Err(error),
    }
    let server = TcpStream::from_std(server)?;
    server.writable().await?;
    match server.take_error()? {
        Some(error) => Err(error),
        None => Ok(server),
    }
}

/// socket(2) and connect(2), which goes on in the background.
fn begin(address: SocketAddr) -> io::Result<net::TcpStream> {
    let socket = nonblocking(Domain::for_address(address))?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&address.into()) {
        Err(error) if !is_in_progress(&error) => Err(error),
        _ => Ok(socket.into()),
    }
}

#[cfg(target_os = "linux")]
fn nonblocking(domain: Domain) -> io::Result<Socket> {
    Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))
}

#[cfg(not(target_os = "linux"))]
fn nonblocking(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Not connected yet: EINPROGRESS from connect(2); from send(2) EAGAIN on Linux, ENOTCONN elsewhere.
fn is_in_progress(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EINPROGRESS)
        || matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}
