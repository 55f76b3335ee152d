//! Happy Eyeballs (RFC 8305): connect to one address, or race several.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use socket2::{Domain, SockAddr, Socket as Unregistered};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep_until};

use crate::dial::resolve::Addresses;
#[cfg(target_os = "linux")]
use crate::net::loopback;
use crate::net::socket::{Socket, nonblocking, write_now};
#[cfg(target_os = "linux")]
use crate::net::sys::bind_address_no_port;

/// Time after which the next address is tried beside the current one (RFC 8305, section 5).
const CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// A connection that was begun.
pub(crate) enum Connecting {
    Established(Socket),
    InProgress(Socket),
}

/// Begins to connect, and sends what the socket takes of `first`. The first write tells whether the connection is
/// established: a near backend has accepted before connect(2) returns, so most attempts need no wait and no timer. A
/// backend that has accepted and reset counts as connected: the relay finds its end.
pub(crate) fn connect(
    address: &SockAddr,
    local: Option<SocketAddr>,
    first: &mut Bytes,
) -> io::Result<Connecting> {
    // The write comes last: bytes that it took cannot go to the next backend.
    let backend = Socket::new(start_connect(address, local)?, address.as_socket().is_some())?;
    match write_now(&backend, first) {
        Ok(count) if count > 0 => {
            first.advance(count);
            Ok(Connecting::Established(backend))
        }
        Err(error) if was_reset(&error) => {
            backend.record_write_error(&error);
            Ok(Connecting::Established(backend))
        }
        Err(error) if !is_too_early(&error) => Err(error),
        _ => Ok(Connecting::InProgress(backend)),
    }
}

/// Waits until the connection is established.
pub(crate) async fn finish_connect(backend: Socket) -> io::Result<Socket> {
    backend.writable().await?;
    match backend.take_error()? {
        Some(error) if !was_reset(&error) => Err(error),
        Some(reset) => {
            backend.record_write_error(&reset);
            Ok(backend)
        }
        None => Ok(backend),
    }
}

/// Connects to the address of a name that answers first. The attempts start one after the other, with alternating
/// families, each when the one before it has failed or CONNECTION_ATTEMPT_DELAY has passed. Addresses that the resolver
/// returns later join the race. `is_resolved` becomes true when there is an address.
pub(crate) async fn race(
    mut answers: Receiver<Addresses>,
    local: Option<SocketAddr>,
    first: &mut Bytes,
    is_resolved: &AtomicBool,
) -> io::Result<Socket> {
    let mut known = Vec::new();
    let mut waiting = VecDeque::new();
    let mut racing = Vec::new();
    let mut is_all_known = false;
    let mut next_start = Instant::now();
    let mut result = Err(io::ErrorKind::NotFound.into());
    loop {
        if racing.is_empty() || Instant::now() >= next_start {
            match waiting.pop_front().map(|address| connect(&SockAddr::from(address), local, first)) {
                Some(Ok(Connecting::Established(backend))) => return Ok(backend),
                Some(Ok(Connecting::InProgress(backend))) => {
                    racing.push(Box::pin(finish_connect(backend)));
                    next_start = Instant::now() + CONNECTION_ATTEMPT_DELAY;
                }
                Some(Err(error)) => {
                    result = Err(error);
                    continue;
                }
                None if racing.is_empty() && is_all_known => return result,
                None => {}
            }
        }
        tokio::select! {
            biased;
            finished = poll_fn(|cx| poll_any(&mut racing, cx)), if !racing.is_empty() => match finished {
                Ok(backend) => return Ok(backend),
                Err(error) => {
                    result = Err(error);
                    next_start = Instant::now();
                }
            },
            answer = answers.recv(), if !is_all_known => match answer {
                Some(Ok(mut addresses)) => {
                    is_resolved.fetch_or(!addresses.is_empty(), Relaxed);
                    addresses.retain(|address| !known.contains(address));
                    known.extend_from_slice(&addresses);
                    waiting = interleaved(addresses.into_iter().chain(waiting));
                }
                Some(Err(error)) => result = Err(error),
                None => is_all_known = true,
            },
            () = sleep_until(next_start), if !waiting.is_empty() => {}
        }
    }
}

/// Returns the first attempt that is done and removes it.
fn poll_any<F: Future + Unpin>(racing: &mut Vec<F>, cx: &mut Context<'_>) -> Poll<F::Output> {
    for index in 0..racing.len() {
        if let Poll::Ready(output) = Pin::new(&mut racing[index]).poll(cx) {
            racing.remove(index);
            return Poll::Ready(output);
        }
    }
    Poll::Pending
}

/// Alternates the families (RFC 8305, section 4) and otherwise keeps the resolver's order.
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

/// Calls socket(2) and connect(2); the handshake continues in the background.
fn start_connect(address: &SockAddr, local: Option<SocketAddr>) -> io::Result<Unregistered> {
    let socket = nonblocking(Domain::from(i32::from(address.family())))?;
    #[cfg_attr(not(target_os = "linux"), expect(unused_variables))]
    if let Some(remote) = address.as_socket() {
        socket.set_tcp_nodelay(true)?;
        #[cfg(target_os = "linux")]
        loopback::disable_pacing(&socket, remote);
        if let Some(local) = local {
            bind(&socket, local)?;
        }
    }
    match socket.connect(address) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
        _ => {}
    }
    #[cfg(target_os = "linux")]
    if address.as_socket().is_some_and(|remote| loopback::is_self_connected(&socket, remote)) {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(socket)
}

/// Binds the socket to the local address of the route.
fn bind(socket: &Unregistered, local: SocketAddr) -> io::Result<()> {
    if local.port() == 0 {
        #[cfg(target_os = "linux")]
        bind_address_no_port(socket);
    } else {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&local.into())
}

/// Tells whether send(2) failed because the connection is not established yet: EAGAIN on Linux, ENOTCONN elsewhere.
fn is_too_early(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}

/// Tells whether the backend has reset an established connection. A refused connect is ECONNREFUSED instead.
fn was_reset(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_alternate() {
        let addresses =
            ["[::1]:1", "[::2]:1", "[::3]:1", "1.0.0.1:1", "1.0.0.2:1"].map(|a| a.parse().unwrap());
        let order: Vec<String> = interleaved(addresses.into_iter()).iter().map(ToString::to_string).collect();
        assert_eq!(order, ["[::1]:1", "1.0.0.1:1", "[::2]:1", "1.0.0.2:1", "[::3]:1"]);
    }

    #[test]
    fn addresses_of_one_family_keep_their_order() {
        let addresses: Vec<SocketAddr> = ["1.0.0.2:1", "1.0.0.1:1"].map(|a| a.parse().unwrap()).into();
        assert_eq!(interleaved(addresses.clone().into_iter()), addresses);
    }

    fn listen() -> (std::net::TcpListener, SocketAddr) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// Returns an address that answers no connection attempt while the sockets live: its queue is full.
    fn black_hole() -> (Vec<Unregistered>, SocketAddr) {
        let listener = Unregistered::new(Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut sockets = vec![listener];
        loop {
            let filler = Unregistered::new(Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            match filler.connect_timeout(&address, Duration::from_millis(200)) {
                Ok(()) => sockets.push(filler),
                Err(_) => return (sockets, address.as_socket().unwrap()),
            }
        }
    }

    fn refusing() -> SocketAddr {
        listen().1
    }

    /// Returns a multicast address, to which connect(2) itself fails.
    fn impossible() -> SocketAddr {
        "224.0.0.1:80".parse().unwrap()
    }

    /// Races the addresses of several answers that come a tenth of a second apart, on paused time.
    fn raced(answers: &[&[SocketAddr]], first: &mut Bytes) -> (io::Result<Option<SocketAddr>>, Duration) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let (sender, receiver) = tokio::sync::mpsc::channel(1);
            let tell = async {
                for (index, addresses) in answers.iter().enumerate() {
                    tokio::time::sleep(Duration::from_millis(100) * u32::from(index > 0)).await;
                    sender.send(Ok(addresses.to_vec())).await.unwrap();
                }
                drop(sender);
            };
            let start = Instant::now();
            let is_resolved = AtomicBool::new(false);
            let (backend, ()) = tokio::join!(race(receiver, None, first, &is_resolved), tell);
            let peer =
                backend.map(|backend| socket2::SockRef::from(&backend).peer_addr().unwrap().as_socket());
            (peer, start.elapsed())
        })
    }

    #[test]
    fn a_silent_address_delays_the_race_once() {
        let (_sockets, silent) = black_hole();
        let (listener, good) = listen();
        let mut first = Bytes::from("hello");
        let (winner, took) = raced(&[&[silent, impossible(), good]], &mut first);
        assert_eq!(winner.unwrap(), Some(good));
        // An attempt that fails at once does not delay the next one.
        assert!(took >= CONNECTION_ATTEMPT_DELAY && took < 2 * CONNECTION_ATTEMPT_DELAY, "{took:?}");
        let mut received = Vec::new();
        io::Read::read_to_end(&mut listener.accept().unwrap().0, &mut received).unwrap();
        received.extend(first);
        assert_eq!(received, b"hello", "unsent bytes are left");
    }

    #[test]
    fn the_race_ends_at_once_when_all_addresses_refuse() {
        let mut first = Bytes::from("hello");
        let (error, _) = raced(&[&[refusing(), refusing()]], &mut first);
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let (error, took) = raced(&[&[impossible(), impossible()]], &mut first);
        assert!(error.is_err() && took.is_zero(), "{took:?}");
        assert_eq!(first, "hello");
    }

    #[test]
    fn late_addresses_join_the_race() {
        let (_sockets, silent) = black_hole();
        let (_listener, good) = listen();
        let (winner, took) = raced(&[&[silent], &[silent, good]], &mut Bytes::new());
        assert_eq!(winner.unwrap(), Some(good));
        assert!(took >= CONNECTION_ATTEMPT_DELAY && took < 2 * CONNECTION_ATTEMPT_DELAY, "{took:?}");
        let (winner, took) = raced(&[&[impossible()], &[impossible(), good]], &mut Bytes::new());
        assert_eq!(winner.unwrap(), Some(good));
        assert!(took >= Duration::from_millis(100) && took < CONNECTION_ATTEMPT_DELAY, "{took:?}");
    }

    #[test]
    fn a_race_without_addresses_fails() {
        let (error, _) = raced(&[], &mut Bytes::new());
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
