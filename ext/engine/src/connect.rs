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
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep_until};

use crate::keepalive::Keepalive;
#[cfg(target_os = "linux")]
use crate::loopback;
use crate::resolve::Answer;
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
    // Nothing can fail any more after the write: what it took is not there for the next backend.
    let server = Socket::new(begin(address, from)?, address.as_socket().is_some())?;
    match write_now(&server, first) {
        Ok(count) if count > 0 => {
            first.advance(count);
            Ok(Opened::Connected(server))
        }
        Err(error) if was_reset(&error) => Ok(Opened::Connected(server)),
        Err(error) if !is_too_early(&error) => Err(error),
        _ => Ok(Opened::Connecting(server)),
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
/// or had its head start. What the resolver tells later joins in.
pub(crate) async fn race(mut answers: Receiver<Answer>, from: From, first: &mut Bytes) -> io::Result<Socket> {
    let mut known = Vec::new();
    let mut waiting = VecDeque::new();
    let mut racing = Vec::new();
    let mut is_all_known = false;
    let mut next_start = Instant::now();
    let mut result = Err(io::ErrorKind::NotFound.into());
    loop {
        if racing.is_empty() || Instant::now() >= next_start {
            match waiting.pop_front().map(|address| open(&SockAddr::from(address), from, first)) {
                Some(Ok(Opened::Connected(server))) => return Ok(server),
                Some(Ok(Opened::Connecting(server))) => {
                    racing.push(Box::pin(connected(server)));
                    next_start = Instant::now() + HEAD_START;
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
                Ok(server) => return Ok(server),
                Err(error) => {
                    result = Err(error);
                    next_start = Instant::now();
                }
            },
            answer = answers.recv(), if !is_all_known => match answer {
                Some(Ok(mut addresses)) => {
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
    #[cfg_attr(not(target_os = "linux"), expect(unused_variables))]
    if let Some(remote) = address.as_socket() {
        socket.set_tcp_nodelay(true)?;
        #[cfg(target_os = "linux")]
        loopback::set_unpaced(&socket, remote);
        from.keepalive.apply(&socket);
        if let Some(local) = from.local {
            bind(&socket, local)?;
        }
    }
    match socket.connect(address) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
        _ => {}
    }
    #[cfg(target_os = "linux")]
    if address.as_socket().is_some_and(|remote| loopback::is_to_itself(&socket, remote)) {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(socket)
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

    fn listen() -> (std::net::TcpListener, SocketAddr) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// An address that answers no connection attempt as long as the sockets live: its queue is full.
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

    /// To many at once there is no connection: connect(2) itself fails.
    fn impossible() -> SocketAddr {
        "224.0.0.1:80".parse().unwrap()
    }

    const FROM: From = From { local: None, keepalive: Keepalive { after: None, user_timeout: None } };

    /// Races the addresses of several answers, a tenth of a second apart, with a clock that stands still
    /// unless nothing else can happen.
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
            let (server, ()) = tokio::join!(race(receiver, FROM, first), tell);
            let peer = server.map(|server| socket2::SockRef::from(&server).peer_addr().unwrap().as_socket());
            (peer, start.elapsed())
        })
    }

    #[test]
    fn one_that_is_silent_loses_its_head_start_and_no_more() {
        let (_sockets, silent) = black_hole();
        let (listener, good) = listen();
        let mut first = Bytes::from("hello");
        let (winner, took) = raced(&[&[silent, impossible(), good]], &mut first);
        assert_eq!(winner.unwrap(), Some(good));
        // What fails at once gives the one before it no second head start.
        assert!(took >= HEAD_START && took < 2 * HEAD_START, "{took:?}");
        let mut received = Vec::new();
        io::Read::read_to_end(&mut listener.accept().unwrap().0, &mut received).unwrap();
        received.extend(first);
        assert_eq!(received, b"hello", "what was not sent is left");
    }

    #[test]
    fn when_all_refuse_there_is_nothing_to_wait_for_and_nothing_is_lost() {
        let mut first = Bytes::from("hello");
        let (error, _) = raced(&[&[refusing(), refusing()]], &mut first);
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let (error, took) = raced(&[&[impossible(), impossible()]], &mut first);
        assert!(error.is_err() && took.is_zero(), "{took:?}");
        assert_eq!(first, "hello");
    }

    #[test]
    fn what_is_told_later_joins_in_when_its_turn_comes() {
        let (_sockets, silent) = black_hole();
        let (_listener, good) = listen();
        let (winner, took) = raced(&[&[silent], &[silent, good]], &mut Bytes::new());
        assert_eq!(winner.unwrap(), Some(good));
        assert!(took >= HEAD_START && took < 2 * HEAD_START, "{took:?}");
        let (winner, took) = raced(&[&[impossible()], &[impossible(), good]], &mut Bytes::new());
        assert_eq!(winner.unwrap(), Some(good));
        assert!(took >= Duration::from_millis(100) && took < HEAD_START, "{took:?}");
    }

    #[test]
    fn without_addresses_there_is_no_race() {
        let (error, _) = raced(&[], &mut Bytes::new());
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
