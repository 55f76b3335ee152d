//! Clients and backends, well behaved or not.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use proxymachine_engine::Remote;
use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::within;

/// A backend on a port of its own.
pub struct Backend {
    pub remote: Remote,
    listener: TcpListener,
}

impl Backend {
    pub fn start() -> Self {
        let (socket, _) = Self::refusing();
        Self::listening(socket)
    }

    /// Returns a port that refuses connections until the socket is given to [`Backend::listening`].
    pub fn refusing() -> (Socket, Remote) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let remote = remote_of(&socket);
        (socket, remote)
    }

    pub fn listening(socket: Socket) -> Self {
        socket.set_nonblocking(true).unwrap();
        socket.listen(1024).unwrap();
        let remote = remote_of(&socket);
        Self { remote, listener: TcpListener::from_std(socket.into()).unwrap() }
    }

    /// Returns a port that resets each connection after the handshake, from a thread of its own.
    pub fn resetting() -> Remote {
        let (socket, remote) = Self::refusing();
        socket.listen(1024).unwrap();
        std::thread::spawn(move || {
            while let Ok((accepted, _)) = socket.accept() {
                accepted.set_linger(Some(Duration::ZERO)).unwrap();
            }
        });
        remote
    }

    /// Returns a port whose queue is full, so that the kernel answers no connect. It
    /// lasts as long as the sockets.
    pub async fn black_hole() -> (Vec<Socket>, Remote) {
        let (socket, remote) = Self::refusing();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap();
        let mut sockets = vec![socket];
        let limit = Duration::from_millis(200);
        tokio::task::spawn_blocking(move || {
            loop {
                let filler = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                match filler.connect_timeout(&address, limit) {
                    Ok(()) => sockets.push(filler),
                    Err(_) => return (sockets, remote),
                }
            }
        })
        .await
        .unwrap()
    }

    pub async fn accept(&self) -> TcpStream {
        within("a connection to the backend", self.accept_whenever()).await
    }

    /// Accepts a connection without a time limit.
    pub async fn accept_whenever(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }
}

fn remote_of(socket: &Socket) -> Remote {
    socket.local_addr().unwrap().as_socket().unwrap().to_string().parse().unwrap()
}

/// Closes with an RST.
pub fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

pub async fn write(stream: &mut (impl AsyncWrite + Unpin), bytes: impl AsRef<[u8]>) {
    within("bytes to be taken", stream.write_all(bytes.as_ref())).await.unwrap();
}

/// Sends a backend's last bytes and ends its side. The rest is read in the background, since a close with unread bytes
/// is an RST.
pub async fn answer(mut server: TcpStream, bytes: impl AsRef<[u8]>) {
    write(&mut server, bytes).await;
    server.shutdown().await.unwrap();
    tokio::spawn(async move { while matches!(server.read(&mut [0; 1024]).await, Ok(1..)) {} });
}

/// Reads exactly `count` bytes.
pub async fn read(stream: &mut (impl AsyncRead + Unpin), count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    within("bytes to arrive", stream.read_exact(&mut bytes)).await.unwrap();
    bytes
}

/// Reads everything up to the other side's FIN.
pub async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    within("the end of the stream", stream.read_to_end(&mut bytes)).await.unwrap();
    bytes
}

/// Waits for the connection's end, by FIN or RST, without a byte before it.
pub async fn is_over(stream: &mut (impl AsyncRead + Unpin)) {
    match within("the connection's end", stream.read(&mut [0])).await {
        Ok(count) => assert_eq!(count, 0, "a byte came instead of the end"),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
    }
}

/// Waits for an RST and returns the bytes before it.
pub async fn read_to_reset(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    match within("a reset", stream.read_to_end(&mut bytes)).await {
        Ok(_) => panic!("a FIN came instead of a reset, after {} bytes", bytes.len()),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
    }
    bytes
}

/// Waits for an RST that comes without a byte before it.
pub async fn is_reset(stream: &mut (impl AsyncRead + Unpin)) {
    assert_eq!(read_to_reset(stream).await, b"");
}

/// Returns bytes of a pattern in which a lost, doubled or swapped byte shows.
pub fn pattern(range: std::ops::Range<usize>) -> Vec<u8> {
    range.map(|at| ((at as u32).wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Period of pattern streams, which is the size of no buffer.
pub const PERIOD: usize = 1_000_003;

/// Sends the first `total` bytes of an endless pattern.
pub async fn send_pattern(stream: &mut (impl AsyncWrite + Unpin), total: usize) {
    let block = pattern(0..PERIOD);
    let mut sent = 0;
    while sent < total {
        let count = PERIOD.min(total - sent);
        within("bulk to be taken", stream.write_all(&block[..count])).await.unwrap();
        sent += count;
    }
}

/// Reads that pattern to the stream's end and returns its length.
pub async fn collect(stream: &mut (impl AsyncRead + Unpin)) -> usize {
    let block = pattern(0..PERIOD);
    let mut buffer = vec![0; PERIOD];
    let mut total = 0;
    loop {
        let count = within("bulk to arrive", stream.read(&mut buffer)).await.unwrap();
        if count == 0 {
            return total;
        }
        let at = total % PERIOD;
        let first = count.min(PERIOD - at);
        assert!(buffer[..first] == block[at..at + first], "wrong bytes after {total}");
        assert!(buffer[first..count] == block[..count - first], "wrong bytes after {total}");
        total += count;
    }
}
