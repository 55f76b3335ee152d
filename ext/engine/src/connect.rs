//! One connection to one address, and the race of several (RFC 8305).

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use socket2::{Domain, SockAddr, Socket as Unregistered};
use tokio::time::timeout;

use crate::keepalive::Keepalive;
use crate::socket::{Socket, nonblocking, write_now};
#[cfg(target_os = "linux")]
use crate::system::choose_port_late;

/// How long one address may take before the next one is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// How connections are made.
#[derive(Clone, Copy)]
pub(crate) struct From {
    pub(crate) local: Option<SocketAddr>,
    pub(crate) keepalive: Keepalive,
}

pub(crate) enum Opened {
    Connected(Socket),
    Connecting(Socket),
}

/// Connects, and sends what it can of `first`. The first write tells whether the connection stands: a
/// near backend has accepted by the time that connect(2) returns, so mostly there is nothing to wait
/// for, and no timer to set. A backend that has accepted and reset has been connected, too: the relay
/// finds its end.
pub(crate) fn open(address: &SockAddr, from: From, first: &mut Bytes) -> io::Result<Opened> {
    let server = begin(address, from)?;
    match write_now(&server, first) {
        Ok(count) if count > 0 => {
            first.advance(count);
            Ok(Opened::Connected(Socket::new(server)?))
        }
        Err(error) if was_reset(&error) => Ok(Opened::Connected(Socket::new(server)?)),
        Err(error) if !is_too_early(&error) => Err(error),
        _ => Ok(Opened::Connecting(Socket::new(server)?)),
    }
}

/// Waits until the connection stands.
pub(crate) async fn connected(server: Socket) -> io::Result<Socket> {
    server.writable().await?;
    match server.take_error()? {
        Some(error) if !was_reset(&error) => Err(error),
        _ => Ok(server),
    }
}

/// Connects to whichever of a name's addresses answers first. They start one after the other, the
/// resolver's first family first and the families in turn, each as soon as the one before it has failed
/// or had its head start.
pub(crate) async fn race(
    addresses: impl Iterator<Item = SocketAddr>,
    from: From,
    first: &mut Bytes,
) -> io::Result<Socket> {
    let mut waiting = interleaved(addresses);
    let mut racing = Vec::new();
    let mut result = Err(io::ErrorKind::NotFound.into());
    loop {
        match waiting.pop_front().map(|address| open(&address.into(), from, first)) {
            Some(Ok(Opened::Connected(server))) => return Ok(server),
            Some(Ok(Opened::Connecting(server))) => racing.push(Box::pin(connected(server))),
            Some(Err(error)) => result = Err(error),
            None if racing.is_empty() => return result,
            None => {}
        }
        if racing.is_empty() {
            continue;
        }
        let finish = poll_fn(|cx| poll_any(&mut racing, cx));
        let finished = match waiting.is_empty() {
            true => finish.await,
            false => match timeout(HEAD_START, finish).await {
                Ok(finished) => finished,
                Err(_) => continue,
            },
        };
        if finished.is_ok() {
            return finished;
        }
        result = finished;
    }
}

/// The first that is done, which leaves the race.
fn poll_any<F: Future + Unpin>(racing: &mut Vec<F>, cx: &mut Context<'_>) -> Poll<F::Output> {
    for index in 0..racing.len() {
        if let Poll::Ready(output) = Pin::new(&mut racing[index]).poll(cx) {
            racing.remove(index);
            return Poll::Ready(output);
        }
    }
    Poll::Pending
}

/// The families in turn (RFC 8305, section 4), in the resolver's order otherwise.
fn interleaved(addresses: impl Iterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let mut addresses = addresses.peekable();
    let first_is_v6 = addresses.peek().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses.partition(|address| address.is_ipv6() == first_is_v6);
    let mut second = second.into_iter();
    let mut mixed: VecDeque<_> =
        first.into_iter().flat_map(|one| [Some(one), second.next()]).flatten().collect();
    mixed.extend(second);
    mixed
}

/// A path, or an abstract name after an `@` (unix(7)).
pub(crate) fn unix_address(path: &str) -> io::Result<SockAddr> {
    match path.strip_prefix('@') {
        Some(name) => SockAddr::unix(format!("\0{name}")),
        None => SockAddr::unix(path),
    }
}

/// socket(2) and connect(2), which goes on in the background.
fn begin(address: &SockAddr, from: From) -> io::Result<Unregistered> {
    let socket = nonblocking(Domain::from(i32::from(address.family())))?;
    if address.is_ipv4() || address.is_ipv6() {
        socket.set_tcp_nodelay(true)?;
        from.keepalive.apply(&socket);
        if let Some(local) = from.local {
            bind(&socket, local)?;
        }
    }
    match socket.connect(address) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket),
    }
}

/// Binds to an address to connect from.
fn bind(socket: &Unregistered, local: SocketAddr) -> io::Result<()> {
    if local.port() == 0 {
        #[cfg(target_os = "linux")]
        choose_port_late(socket);
    } else {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&local.into())
}

/// What send(2) says before the connection stands: EAGAIN on Linux, ENOTCONN elsewhere.
fn is_too_early(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}

/// After it was connected: a connect that is refused says so, ECONNREFUSED.
fn was_reset(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_take_turns() {
        let addresses =
            ["[::1]:1", "[::2]:1", "[::3]:1", "1.0.0.1:1", "1.0.0.2:1"].map(|a| a.parse().unwrap());
        let order: Vec<String> = interleaved(addresses.into_iter()).iter().map(ToString::to_string).collect();
        assert_eq!(order, ["[::1]:1", "1.0.0.1:1", "[::2]:1", "1.0.0.2:1", "[::3]:1"]);
    }

    #[test]
    fn one_family_keeps_its_order() {
        let addresses: Vec<SocketAddr> = ["1.0.0.2:1", "1.0.0.1:1"].map(|a| a.parse().unwrap()).into();
        assert_eq!(interleaved(addresses.clone().into_iter()), addresses);
    }
}
