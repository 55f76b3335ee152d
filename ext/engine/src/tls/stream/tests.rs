use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

use super::*;
use crate::tls::{Handshake, HandshakeError, provider};

const NAME: &str = "server.example";

/// A connection in memory between us and a peer that rustls's buffered API drives.
struct Link {
    to_us: Mutex<VecDeque<u8>>,
    to_peer: Mutex<Vec<u8>>,
    /// How many bytes each read and each write may move; 0 is none for now.
    sizes: Mutex<VecDeque<usize>>,
    peer_ended: AtomicBool,
    we_ended: AtomicBool,
}

impl Link {
    fn new(sizes: impl IntoIterator<Item = usize>) -> Self {
        Self {
            to_us: Mutex::default(),
            to_peer: Mutex::default(),
            sizes: Mutex::new(sizes.into_iter().collect()),
            peer_ended: AtomicBool::new(false),
            we_ended: AtomicBool::new(false),
        }
    }

    fn next_size(&self) -> usize {
        self.sizes.lock().unwrap().pop_front().unwrap_or(usize::MAX)
    }
}

impl Stream for Link {
    fn poll_read(&self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<Read>> {
        let mut to_us = self.to_us.lock().unwrap();
        if to_us.is_empty() {
            return match self.peer_ended.load(Relaxed) {
                true => Poll::Ready(Ok(Read { count: 0, is_last: true })),
                false => Poll::Pending,
            };
        }
        let count = self.next_size().min(to_us.len()).min(buffer.len());
        if count == 0 {
            return Poll::Pending;
        }
        to_us.drain(..count).zip(buffer).for_each(|(byte, place)| *place = byte);
        Poll::Ready(Ok(Read { count, is_last: to_us.is_empty() && self.peer_ended.load(Relaxed) }))
    }

    fn poll_write(&self, _: &mut Context<'_>, data: &[u8], _: bool) -> Poll<io::Result<usize>> {
        let count = self.next_size().min(data.len());
        if count == 0 {
            return Poll::Pending;
        }
        self.to_peer.lock().unwrap().extend_from_slice(&data[..count]);
        Poll::Ready(Ok(count))
    }

    fn shutdown(&self) -> io::Result<()> {
        self.we_ended.store(true, Relaxed);
        Ok(())
    }
}

static CONFIGS: LazyLock<(Arc<ServerConfig>, RootCertStore)> = LazyLock::new(|| {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![NAME.into()]).unwrap().self_signed(&key).unwrap();
    let der: CertificateDer<'static> = certificate.der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS12, &TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![der.clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(der).unwrap();
    (Arc::new(config), roots)
});

fn client_config(is_12: bool) -> Arc<ClientConfig> {
    let versions = if is_12 { &[&TLS12] } else { &[&TLS13] };
    let config = ClientConfig::builder_with_provider(provider()).with_protocol_versions(versions).unwrap();
    Arc::new(config.with_root_certificates(CONFIGS.1.clone()).with_no_client_auth())
}

fn name() -> ServerName<'static> {
    ServerName::try_from(NAME).unwrap()
}

/// Both ends of a connection: ours, and a peer of the other role.
fn ends(we_are_server: bool, is_12: bool) -> (Connection, rustls::Connection) {
    let (server, client) = (Arc::clone(&CONFIGS.0), client_config(is_12));
    match we_are_server {
        true => {
            let peer = ClientConnection::new(client, name()).unwrap();
            (Connection::server(server).unwrap(), peer.into())
        }
        false => {
            let peer = ServerConnection::new(server).unwrap();
            (Connection::client(client, name()).unwrap(), peer.into())
        }
    }
}

/// Lets the peer read and write all that it can. Returns the plaintext that it has read, and whether it has seen the end.
fn pump(peer: &mut rustls::Connection, link: &Link) -> (Vec<u8>, bool) {
    let bytes = std::mem::take(&mut *link.to_peer.lock().unwrap());
    let mut plaintext = Vec::new();
    let mut has_ended = false;
    let mut rest = &bytes[..];
    loop {
        if !rest.is_empty() {
            peer.read_tls(&mut rest).unwrap();
        }
        let state = peer.process_new_packets().unwrap();
        has_ended |= state.peer_has_closed();
        let count = state.plaintext_bytes_to_read();
        let begin = plaintext.len();
        plaintext.resize(begin + count, 0);
        peer.reader().read_exact(&mut plaintext[begin..]).unwrap();
        if rest.is_empty() {
            break;
        }
    }
    let mut records = Vec::new();
    while peer.wants_write() {
        peer.write_tls(&mut records).unwrap();
    }
    link.to_us.lock().unwrap().extend(records);
    (plaintext, has_ended)
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Makes the handshake.
fn establish(
    connection: Connection,
    peer: &mut rustls::Connection,
    link: &Link,
) -> Result<Layer, HandshakeError> {
    let mut handshake = Handshake::new(connection, &[]);
    {
        let mut done = pin!(handshake.complete(link));
        loop {
            if let Poll::Ready(done) = done.as_mut().poll(&mut cx()) {
                done?;
                break;
            }
            pump(peer, link);
        }
    }
    pump(peer, link);
    Ok(handshake.finish().0)
}

/// What both sides have read in the end, and how the peer's side has ended for us.
struct Exchanged {
    by_us: Vec<u8>,
    by_peer: Vec<u8>,
    peer_saw_end: bool,
    end: Option<PeerEnd>,
}

/// Sends `ours` and `theirs` at once, each side in its pieces, and ends both sides.
fn exchange(
    layer: &Layer,
    peer: &mut rustls::Connection,
    link: &Link,
    ours: &[Vec<u8>],
    theirs: &[Vec<u8>],
    room: usize,
) -> Exchanged {
    let stream = TlsStream { socket: link, layer };
    let mut done = Exchanged { by_us: Vec::new(), by_peer: Vec::new(), peer_saw_end: false, end: None };
    let (mut ours, mut theirs) = (ours.iter().map(Vec::as_slice), theirs.iter());
    let (mut pending, mut is_last, mut has_flushed, mut has_read) = (&[][..], false, false, false);
    for _ in 0..100_000 {
        match theirs.next() {
            Some(piece) => peer.writer().write_all(piece).unwrap(),
            None => peer.send_close_notify(),
        }
        let (plaintext, saw_end) = pump(peer, link);
        done.by_peer.extend(plaintext);
        done.peer_saw_end |= saw_end;
        if pending.is_empty() && !is_last {
            match ours.next() {
                Some(piece) => pending = piece,
                None => is_last = true,
            }
        }
        if !pending.is_empty() {
            if let Poll::Ready(count) = stream.poll_write(&mut cx(), pending, false) {
                pending = &pending[count.unwrap()..];
            }
        } else if !has_flushed {
            has_flushed = stream.poll_flush(&mut cx(), is_last).is_ready() && is_last;
        }
        let mut buffer = vec![0; room];
        while !has_read {
            let Poll::Ready(read) = stream.poll_read(&mut cx(), &mut buffer) else { break };
            let read = read.unwrap();
            done.by_us.extend_from_slice(&buffer[..read.count]);
            has_read = read.is_last;
        }
        if has_flushed && has_read && done.peer_saw_end {
            done.end = layer.peer_end();
            return done;
        }
    }
    panic!("the exchange does not end");
}

fn pieces(sizes: &[usize], seed: u8) -> Vec<Vec<u8>> {
    let byte = |index: usize| (index as u8).wrapping_mul(31).wrapping_add(seed);
    sizes.iter().map(|size| (0..*size).map(byte).collect()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// However reads and writes are cut, both sides read what the other one wrote, and the end after it.
    #[test]
    fn both_sides_get_everything_and_the_end(
        we_are_server: bool,
        is_12: bool,
        sizes in prop::collection::vec(prop_oneof![0_usize..40, 0_usize..2_000, 0_usize..40_000], 0..60),
        ours in prop::collection::vec(prop_oneof![1_usize..100, 1_usize..70_000], 0..4),
        theirs in prop::collection::vec(prop_oneof![1_usize..100, 1_usize..30_000], 0..4),
        room in prop_oneof![1_usize..100, Just(16_384_usize), Just(262_144_usize)],
    ) {
        let link = Link::new(sizes);
        let (connection, mut peer) = ends(we_are_server, is_12);
        peer.set_buffer_limit(None);
        let layer = establish(connection, &mut peer, &link).unwrap();
        let (ours, theirs) = (pieces(&ours, 1), pieces(&theirs, 2));
        let done = exchange(&layer, &mut peer, &link, &ours, &theirs, room);
        prop_assert_eq!(done.by_peer, ours.concat());
        prop_assert_eq!(done.by_us, theirs.concat());
        prop_assert_eq!(done.end, Some(PeerEnd::Closed));
        let stream = TlsStream { socket: &link, layer: &layer };
        prop_assert!(!stream.has_unsent());
    }
}

#[test]
fn the_handshake_may_be_cut_anywhere() {
    for is_12 in [false, true] {
        for we_are_server in [false, true] {
            for cut in (1..2_000).step_by(7) {
                // A read up to the cut, none, and the rest; writes take everything.
                let link = Link::new([usize::MAX, cut, 0, usize::MAX, cut, 0]);
                let (connection, mut peer) = ends(we_are_server, is_12);
                establish(connection, &mut peer, &link).unwrap();
            }
            let link = Link::new(std::iter::repeat_n(1, 10_000));
            let (connection, mut peer) = ends(we_are_server, is_12);
            establish(connection, &mut peer, &link).unwrap();
        }
    }
}

/// Reads to the end, or to an error.
fn read_all(layer: &Layer, link: &Link) -> (Vec<u8>, io::Result<()>) {
    let (stream, mut all, mut buffer) = (TlsStream { socket: link, layer }, Vec::new(), vec![0; 65_536]);
    loop {
        match stream.poll_read(&mut cx(), &mut buffer) {
            Poll::Ready(Ok(read)) => {
                all.extend_from_slice(&buffer[..read.count]);
                if read.is_last {
                    return (all, Ok(()));
                }
            }
            Poll::Ready(Err(error)) => return (all, Err(error)),
            Poll::Pending => panic!("the end does not come"),
        }
    }
}

#[test]
fn a_stream_may_be_truncated_anywhere() {
    for is_12 in [false, true] {
        let establish = || {
            let link = Link::new([]);
            let (connection, mut peer) = ends(true, is_12);
            let layer = establish(connection, &mut peer, &link).unwrap();
            read_pending(&layer, &link);
            for piece in [&b"one"[..], b"two", b"three"] {
                peer.writer().write_all(piece).unwrap();
            }
            peer.send_close_notify();
            pump(&mut peer, &link);
            (layer, link)
        };
        let len = establish().1.to_us.lock().unwrap().len();
        for cut in 0..=len {
            let (layer, link) = establish();
            link.to_us.lock().unwrap().truncate(cut);
            link.peer_ended.store(true, Relaxed);
            let (all, end) = read_all(&layer, &link);
            end.unwrap();
            assert!([&b""[..], b"one", b"onetwo", b"onetwothree"].contains(&&all[..]), "{cut}: {all:?}");
            let expected = if cut == len { PeerEnd::Closed } else { PeerEnd::Truncated };
            assert_eq!(layer.peer_end(), Some(expected), "{cut} of {len}");
        }
    }
}

/// Reads what came with the handshake: no plaintext.
fn read_pending(layer: &Layer, link: &Link) {
    let stream = TlsStream { socket: link, layer };
    assert!(stream.poll_read(&mut cx(), &mut [0; 65_536]).is_pending());
}

#[test]
fn a_forged_record_breaks_the_stream_after_what_came_before() {
    let link = Link::new([]);
    let (connection, mut peer) = ends(true, false);
    let layer = establish(connection, &mut peer, &link).unwrap();
    peer.writer().write_all(b"good").unwrap();
    pump(&mut peer, &link);
    link.to_us.lock().unwrap().extend([0x17, 3, 3, 0, 20]);
    link.to_us.lock().unwrap().extend([0; 20]);
    let (all, end) = read_all(&layer, &link);
    assert_eq!(all, b"good");
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::InvalidData);
    // The peer gets an alert, and no close_notify.
    let stream = TlsStream { socket: &link, layer: &layer };
    assert!(matches!(stream.poll_flush(&mut cx(), true), Poll::Ready(Ok(()))));
    assert!(matches!(stream.poll_write(&mut cx(), b"more", false), Poll::Ready(Err(_))));
    let mut bytes = &std::mem::take(&mut *link.to_peer.lock().unwrap())[..];
    peer.read_tls(&mut bytes).unwrap();
    let error = peer.process_new_packets().unwrap_err();
    assert!(error.to_string().contains("BadRecordMac"), "{error}");
}

#[test]
fn key_updates_in_both_directions_lose_nothing() {
    let link = Link::new([]);
    let (connection, mut peer) = ends(true, false);
    let layer = establish(connection, &mut peer, &link).unwrap();
    let stream = TlsStream { socket: &link, layer: &layer };
    for round in 0..50_u8 {
        peer.refresh_traffic_keys().unwrap();
        peer.writer().write_all(&[round]).unwrap();
        pump(&mut peer, &link);
        let mut buffer = [0; 65_536];
        assert!(matches!(stream.poll_read(&mut cx(), &mut buffer), Poll::Ready(Ok(Read { count: 1, .. }))));
        assert_eq!(buffer[0], round);
        assert!(matches!(stream.poll_write(&mut cx(), &[round], false), Poll::Ready(Ok(1))));
        assert_eq!(pump(&mut peer, &link).0, [round]);
    }
}

#[test]
fn a_storm_of_key_updates_is_refused() {
    let link = Link::new([]);
    let (connection, mut peer) = ends(true, false);
    let layer = establish(connection, &mut peer, &link).unwrap();
    for _ in 0..1_000 {
        peer.refresh_traffic_keys().unwrap();
        pump(&mut peer, &link);
    }
    let (all, end) = read_all(&layer, &link);
    assert_eq!(all, b"");
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn an_idle_stream_holds_no_buffer() {
    let link = Link::new([]);
    let (connection, mut peer) = ends(true, false);
    let layer = establish(connection, &mut peer, &link).unwrap();
    assert_eq!(layer.lock().incoming.capacity(), 0);
    let done = exchange_only(&layer, &mut peer, &link);
    assert_eq!(done, 20_000);
    let state = layer.lock();
    assert_eq!((state.incoming.capacity(), state.outgoing.capacity(), state.plaintext.capacity()), (0, 0, 0));
}

/// Sends bytes in both directions, and ends nothing. Returns how many bytes both have read.
fn exchange_only(layer: &Layer, peer: &mut rustls::Connection, link: &Link) -> usize {
    let stream = TlsStream { socket: link, layer };
    peer.set_buffer_limit(None);
    peer.writer().write_all(&[1; 10_000]).unwrap();
    pump(peer, link);
    let (mut count, mut buffer) = (0, vec![0; 65_536]);
    while let Poll::Ready(read) = stream.poll_read(&mut cx(), &mut buffer) {
        count += read.unwrap().count;
    }
    assert!(matches!(stream.poll_write(&mut cx(), &[2; 10_000], false), Poll::Ready(Ok(10_000))));
    count + pump(peer, link).0.len()
}
