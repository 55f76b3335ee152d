//! Unix sockets on either side, by path and by abstract name.

use std::fs;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proxymachine_engine::proxy_protocol::{Version, header};
use proxymachine_engine::{Config, DrainOutcome, Failure, Listener, Remote, Router, Verdict};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};

use crate::support::*;

/// A unique name, and its file, which is removed with it.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("proxymachine-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(name))
    }

    /// Returns the address as a path or as an abstract name.
    fn written(&self, is_abstract: bool) -> String {
        let path = self.0.display();
        if is_abstract { format!("unix:@{path}") } else { format!("unix:{path}") }
    }

    fn address(&self, is_abstract: bool) -> SockAddr {
        let path = self.0.display();
        SockAddr::unix(if is_abstract { format!("\0{path}") } else { path.to_string() }).unwrap()
    }

    fn remote(&self) -> Remote {
        self.written(false).parse().unwrap()
    }

    fn listen(&self, is_abstract: bool) -> UnixListener {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.bind(&self.address(is_abstract)).unwrap();
        socket.listen(16).unwrap();
        socket.set_nonblocking(true).unwrap();
        UnixListener::from_std(OwnedFd::from(socket).into()).unwrap()
    }

    async fn connect(&self, is_abstract: bool) -> UnixStream {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.connect(&self.address(is_abstract)).unwrap();
        socket.set_nonblocking(true).unwrap();
        UnixStream::from_std(OwnedFd::from(socket).into()).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Starts a proxy at this place.
fn listening(place: &Place, is_abstract: bool, router: impl Router) -> Proxy {
    let listeners = Listener::bind(&place.written(is_abstract), &Default::default()).unwrap();
    Proxy::listening(listeners, config(), router, Recorder::default(), Arc::default())
}

async fn accept(listener: &UnixListener) -> UnixStream {
    within("a connection to the backend", listener.accept()).await.unwrap().0
}

/// Returns client, backend and proxy of a connection with Unix sockets on both sides.
async fn pair() -> (UnixStream, UnixStream, Proxy) {
    let (front, back) = (Place::new(), Place::new());
    let listener = back.listen(false);
    let proxy = listening(&front, false, always(&back.remote()));
    let mut client = front.connect(false).await;
    write(&mut client, "x").await;
    let mut backend_stream = accept(&listener).await;
    assert_eq!(read(&mut backend_stream, 1).await, b"x");
    (client, backend_stream, proxy)
}

#[tokio::test]
async fn unix_clients_reach_unix_backends_by_path_and_by_name() {
    for is_abstract in [false, true] {
        let (front, back) = (Place::new(), Place::new());
        let listener = back.listen(is_abstract);
        let (router, mut questions) = asking();
        let proxy = listening(&front, is_abstract, router);
        let mut client = front.connect(is_abstract).await;
        write(&mut client, "hello").await;
        let question = questions.next().await;
        assert_eq!(
            (question.client.clone(), &question.data[..]),
            (front.written(is_abstract), &b"hello"[..])
        );
        question.answer(Verdict::connect(back.written(is_abstract).parse().unwrap()));
        let mut backend_stream = accept(&listener).await;
        assert_eq!(read(&mut backend_stream, 5).await, b"hello");
        write(&mut backend_stream, "reply").await;
        drop(backend_stream);
        assert_eq!(read_to_end(&mut client).await, b"reply");
        drop(client);
        proxy.events.ended_as("Relayed").await;
        proxy.finish().await;
        assert!(!fs::exists(&front.0).unwrap(), "the engine's socket file is gone with it");
    }
}

#[tokio::test]
async fn unix_and_tcp_sides_can_be_mixed() {
    let place = Place::new();
    let listener = place.listen(false);
    let proxy = Proxy::start(always(&place.remote()));
    let mut client = proxy.client_with("to unix").await;
    let mut backend_stream = accept(&listener).await;
    assert_eq!(read(&mut backend_stream, 7).await, b"to unix");
    drop(backend_stream);
    is_over(&mut client).await;
    drop(client);
    proxy.finish().await;

    let (place, backend) = (Place::new(), Backend::start());
    let proxy = listening(&place, false, always(&backend.remote));
    let mut client = place.connect(false).await;
    write(&mut client, "to tcp").await;
    let mut backend_stream = backend.accept().await;
    assert_eq!(read(&mut backend_stream, 6).await, b"to tcp");
    answer(backend_stream, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    drop(client);
    proxy.finish().await;
}

#[tokio::test]
async fn megabytes_in_both_directions_arrive_complete() {
    const SIZE: usize = 20_000_000;
    let (client, backend_stream, proxy) = pair().await;
    let (mut client_reads, mut client_writes) = client.into_split();
    let (mut server_reads, mut server_writes) = backend_stream.into_split();
    let up = async {
        send_pattern(&mut client_writes, SIZE).await;
        client_writes.shutdown().await.unwrap();
    };
    let backend_stream = async {
        let ((), received) = tokio::join!(send_pattern(&mut server_writes, SIZE), collect(&mut server_reads));
        server_writes.shutdown().await.unwrap();
        received
    };
    let ((), at_server, at_client) = tokio::join!(up, backend_stream, collect(&mut client_reads));
    assert_eq!((at_server, at_client), (SIZE, SIZE));
    proxy.finish().await;
}

#[tokio::test]
async fn a_half_closed_client_gets_its_reply() {
    let (mut client, mut backend_stream, proxy) = pair().await;
    client.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut backend_stream).await, b"");
    write(&mut backend_stream, "late reply").await;
    drop(backend_stream);
    assert_eq!(read_to_end(&mut client).await, b"late reply");
    proxy.events.ended_as("Relayed").await;
    proxy.finish().await;
}

/// A Unix socket that is closed with unread bytes resets its peer.
#[tokio::test]
async fn a_reset_of_one_side_ends_the_other() {
    let (mut client, mut backend_stream, proxy) = pair().await;
    write(&mut backend_stream, "answer").await;
    assert_eq!(read(&mut client, 6).await, b"answer");
    write(&mut backend_stream, "unread").await;
    client.readable().await.unwrap();
    drop(client);
    is_over(&mut backend_stream).await;
    proxy.events.ended_as("Relayed").await;
    proxy.finish().await;

    let (mut client, backend_stream, proxy) = pair().await;
    write(&mut client, "unread").await;
    within("bytes to arrive", backend_stream.readable()).await.unwrap();
    drop(backend_stream);
    is_over(&mut client).await;
    proxy.events.ended_as("ClosedPrematurely").await;
    proxy.finish().await;
}

/// Expects a failed connect that is reported.
async fn fails(remote: &Remote) {
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let mut client = proxy.client_with("x").await;
    questions.next().await.answer(Verdict::connect(remote.clone()));
    let question = questions.next().await;
    assert_eq!(question.kind, Kind::Failed(Failure::Connect, remote.to_string()));
    question.answer(Verdict::Close(None));
    is_over(&mut client).await;
    let dialed = proxy.events.all().iter().filter(|event| matches!(event, Event::Dialing(_))).count();
    assert_eq!(dialed, 3, "it is tried again twice");
    proxy.finish().await;
}

#[tokio::test]
async fn missing_and_stale_socket_files_fail_to_connect() {
    let place = Place::new();
    fails(&place.remote()).await;
    drop(place.listen(false)); // The file remains.
    assert!(fs::exists(&place.0).unwrap());
    fails(&place.remote()).await;
}

#[tokio::test]
async fn a_backend_with_a_full_queue_fails_at_once() {
    let place = Place::new();
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&place.address(false)).unwrap();
    listener.listen(0).unwrap();
    let mut queued = Vec::new();
    for _ in 0..100 {
        let filler = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        filler.set_nonblocking(true).unwrap();
        match filler.connect(&place.address(false)) {
            Ok(()) => queued.push(filler),
            Err(_) => break,
        }
    }
    assert!(queued.len() < 100, "the queue is full");
    fails(&place.remote()).await;
}

#[tokio::test]
async fn a_socket_file_that_appears_between_attempts_is_connected() {
    let place = Place::new();
    let proxy = Proxy::with(Config { connect_retries: u32::MAX, ..config() }, always(&place.remote()));
    let mut client = proxy.client_with("x").await;
    proxy.events.retrying(2).await;
    let listener = place.listen(false);
    let mut backend_stream = accept(&listener).await;
    assert_eq!(read(&mut backend_stream, 1).await, b"x");
    drop(backend_stream);
    is_over(&mut client).await;
    drop(client);
    proxy.finish().await;
}

#[tokio::test]
async fn a_drain_removes_the_socket_file() {
    let place = Place::new();
    let mut proxy = listening(&place, false, deciding(|_| Verdict::Wait(None)));
    let mut client = place.connect(false).await;
    proxy.events.accepted(1).await;
    proxy.shutdown.drain(None);
    is_over(&mut client).await;
    assert_eq!(proxy.join().await, DrainOutcome::Drained);
    proxy.check_records();
    assert!(!fs::exists(&place.0).unwrap());
}

#[tokio::test]
async fn a_unix_backend_receives_the_proxy_header() {
    let place = Place::new();
    let listener = place.listen(false);
    for version in [Version::One, Version::Two] {
        let (router, mut questions) = asking();
        let proxy = Proxy::start(router);
        let mut client = proxy.client_with("hello").await;
        questions.next().await.answer(route(&place.remote(), |r| r.proxy_protocol = Some(version)));
        let mut expected = header(version, client.local_addr().ok(), Some(proxy.addresses[0])).to_vec();
        expected.extend(b"hello");
        let mut backend_stream = accept(&listener).await;
        assert_eq!(read(&mut backend_stream, expected.len()).await, expected);
        write(&mut backend_stream, "reply").await;
        drop(backend_stream);
        assert_eq!(read_to_end(&mut client).await, b"reply");
        drop(client);
        proxy.finish().await;
    }
}

/// Sends bytes with a descriptor, which the proxy ignores.
fn send_with_descriptor(stream: &UnixStream, data: &[u8]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [stream.as_fd()];
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let sent = sendmsg(stream, &[IoSlice::new(data)], &mut control, SendFlags::empty());
    assert_eq!(sent.unwrap(), data.len());
}

#[tokio::test]
async fn bytes_after_a_passed_descriptor_are_relayed_at_once() {
    let (client, mut backend_stream, proxy) = pair().await;
    send_with_descriptor(&client, b"hello");
    client.try_write(b"goodbye").unwrap();
    assert_eq!(read(&mut backend_stream, 12).await, b"hellogoodbye");
    send_with_descriptor(&client, b"hello");
    client.try_write(b"goodbye").unwrap();
    drop(client);
    assert_eq!(read_to_end(&mut backend_stream).await, b"hellogoodbye");
    drop(backend_stream);
    proxy.finish().await;
}
