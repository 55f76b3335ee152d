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
        if let Ok(server) = attempt(route, first).await {
            observer.connected(remote);
            return Some(server);
        }
    }
    None
}

/// One attempt, within the time that the route gives it.
async fn attempt(route: &Route, first: &mut Bytes) -> io::Result<TcpStream> {
    // Boxed, since mostly nothing has to be waited for: see open().
    match route.remote.literal() {
        Some(address) => match open(address, first)? {
            Opened::Connected(server) => Ok(server),
            Opened::Connecting(server) => Box::pin(timeout(route.connect_timeout, connected(server))).await?,
        },
        None => Box::pin(timeout(route.connect_timeout, resolve_and_connect(&route.remote, first))).await?,
    }
}

/// Tries each address of `remote`, in the resolver's order. The resolver works on a thread of its own.
async fn resolve_and_connect(remote: &Remote, first: &mut Bytes) -> io::Result<TcpStream> {
    let mut result = Err(io::ErrorKind::NotFound.into());
    for address in lookup_host((remote.host(), remote.port())).await? {
        result = match open(address, first) {
            Ok(Opened::Connected(server)) => Ok(server),
            Ok(Opened::Connecting(server)) => connected(server).await,
            Err(error) => Err(error),
        };
        if result.is_ok() {
            break;
        }
    }
    result
}

enum Opened {
    Connected(TcpStream),
    Connecting(TcpStream),
}

/// Connects, and sends what it can of `first`. The first write tells whether the connection stands: a
/// near backend has accepted by the time that connect(2) returns, so mostly there is nothing to wait
/// for, and no timer to set. A backend that has accepted and reset has been connected, too: the relay
/// finds its end.
fn open(address: SocketAddr, first: &mut Bytes) -> io::Result<Opened> {
    let server = begin(address)?;
    match (&server).write(first) {
        Ok(count) if count > 0 => {
            first.advance(count);
            Ok(Opened::Connected(TcpStream::from_std(server)?))
        }
        Err(error) if was_reset(&error) => Ok(Opened::Connected(TcpStream::from_std(server)?)),
        Err(error) if !is_in_progress(&error) => Err(error),
        _ => Ok(Opened::Connecting(TcpStream::from_std(server)?)),
    }
}

/// Waits until the connection stands.
async fn connected(server: TcpStream) -> io::Result<TcpStream> {
    server.writable().await?;
    match server.take_error()? {
        Some(error) if !was_reset(&error) => Err(error),
        _ => Ok(server),
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

/// After it was connected: a connect that is refused says so, ECONNREFUSED.
fn was_reset(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}
