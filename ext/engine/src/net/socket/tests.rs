//! Tests of the ends and resets that a socket reports.

use std::io::Write;
use std::net::{TcpListener, TcpStream};

use super::*;

/// Returns both sides of a connection.
fn pair() -> (Socket, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    (Socket::new(stream, true).unwrap(), peer)
}

/// Reads after everything that the peer did has arrived, since the runtime learns of it only then.
async fn read(socket: &Socket) -> io::Result<Read> {
    poll_fn(|cx| socket.poll_read(cx, &mut [0; 100])).await
}

#[tokio::test]
async fn a_socket_that_expects_bytes_does_not_wait_for_the_runtime() {
    let (socket, mut peer) = pair();
    peer.write_all(b"hello").unwrap();
    let mut context = Context::from_waker(Waker::noop());
    assert!(socket.poll_read(&mut context, &mut [0; 100]).is_pending(), "the runtime has not looked yet");
    socket.expect_bytes();
    let Poll::Ready(read) = socket.poll_read(&mut context, &mut [0; 100]) else { panic!("nothing was read") };
    assert_eq!(read.unwrap(), Read { count: 5, is_last: false });
    peer.write_all(b"more").unwrap();
    assert!(socket.poll_read(&mut context, &mut [0; 100]).is_pending(), "only the first read is tried");
    assert_eq!(socket.try_write(b"hi").unwrap(), 2);
}

#[tokio::test]
async fn the_end_is_reported_with_the_last_bytes_if_both_have_come() {
    let (socket, mut peer) = pair();
    peer.write_all(b"goodbye").unwrap();
    drop(peer);
    assert_eq!(read(&socket).await.unwrap(), Read { count: 7, is_last: true });
    assert_eq!(read(&socket).await.unwrap(), Read { count: 0, is_last: true }, "the end is reported again");
}

#[tokio::test]
async fn bytes_are_not_the_last_while_the_peer_is_open() {
    let (socket, mut peer) = pair();
    peer.write_all(b"hello").unwrap();
    assert_eq!(read(&socket).await.unwrap(), Read { count: 5, is_last: false });
}

#[tokio::test]
async fn a_full_buffer_does_not_report_the_end() {
    let (socket, mut peer) = pair();
    peer.write_all(&[b'x'; 100]).unwrap();
    drop(peer);
    assert_eq!(read(&socket).await.unwrap(), Read { count: 100, is_last: false });
    assert_eq!(read(&socket).await.unwrap(), Read { count: 0, is_last: true });
}

#[tokio::test]
async fn a_reset_after_bytes_does_not_pass_for_an_end() {
    let (socket, mut peer) = pair();
    peer.write_all(b"hello").unwrap();
    SockRef::from(&peer).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(peer);
    assert!(!read(&socket).await.is_ok_and(|read| read.is_last));
    assert_eq!(read(&socket).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

/// Ends with a reset the side of a peer, whose partner was spliced to.
fn reset_after_splice(socket: &Socket, peer: TcpStream) {
    socket.record_splice();
    SockRef::from(&peer).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(peer);
}

#[tokio::test]
async fn a_reset_that_follows_an_end_does_not_undo_the_end() {
    let (socket, mut peer) = pair();
    peer.write_all(b"hello").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    reset_after_splice(&socket, peer);
    assert_eq!(read(&socket).await.unwrap().count, 5);
    assert_eq!(read(&socket).await.unwrap(), Read { count: 0, is_last: true });
}

#[tokio::test]
async fn a_reset_that_a_splice_has_hidden_does_not_pass_for_an_end() {
    let (socket, peer) = pair();
    reset_after_splice(&socket, peer);
    socket.wait_for_reset().await;
    assert_eq!(
        socket.take_error().unwrap().unwrap().kind(),
        io::ErrorKind::ConnectionReset,
        "as splice does"
    );
    assert_eq!(read(&socket).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn bytes_before_urgent_data_are_not_the_last() {
    let (socket, mut peer) = pair();
    peer.write_all(b"hello").unwrap();
    SockRef::from(&peer).send_out_of_band(b"!").unwrap();
    peer.write_all(b"goodbye").unwrap();
    drop(peer);
    assert_eq!(read(&socket).await.unwrap(), Read { count: 5, is_last: false });
    let rest = read(&socket).await.unwrap();
    assert_eq!(rest.count, 7);
    assert!(rest.is_last || read(&socket).await.unwrap().count == 0);
}
