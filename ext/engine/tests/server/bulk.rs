//! Much data, slow readers, last words.

use std::time::Duration;

use bytes::Bytes;
use proxymachine_engine::{Config, Verdict};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use crate::support::*;

const BULK: usize = 64_000_000;

/// Sends the pattern and ends its side, while it reads the other's to its end.
async fn exchange(mut stream: TcpStream, sent: usize, received: usize) {
    let (mut reader, mut writer) = stream.split();
    let send = async {
        send_pattern(&mut writer, sent).await;
        writer.shutdown().await.unwrap();
    };
    let (count, ()) = tokio::join!(collect(&mut reader), send);
    assert_eq!(count, received);
}

#[tokio::test]
async fn bulk_in_both_directions_at_once_does_not_stall() {
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let client = tokio::spawn(exchange(proxy.client().await, BULK, BULK));
    // The server's end would be the end: it waits for the client's.
    let mut server = backend.accept().await;
    let (mut reader, mut writer) = server.split();
    let (count, ()) = tokio::join!(collect(&mut reader), send_pattern(&mut writer, BULK));
    assert_eq!(count, BULK);
    drop(server);
    client.await.unwrap();
    proxy.events.ended_as("Relayed").await;
    proxy.finish().await;
}

#[tokio::test]
async fn an_echo_of_bulk_does_not_stall() {
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let client = tokio::spawn(exchange(proxy.client().await, BULK, BULK));
    let mut server = backend.accept().await;
    let (mut reader, mut writer) = server.split();
    assert_eq!(tokio::io::copy(&mut reader, &mut writer).await.unwrap(), BULK as u64);
    drop(server);
    client.await.unwrap();
    proxy.finish().await;
}

/// splice(2) does not get past an urgent byte.
#[tokio::test]
async fn bulk_with_urgent_data_in_it_does_not_stall() {
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let mut client = proxy.client().await;
    let sending = tokio::spawn(async move {
        send_pattern(&mut client, 8 * PERIOD).await;
        let urgent = || SockRef::from(&client).send_out_of_band(b"!");
        client.async_io(Interest::WRITABLE, urgent).await.unwrap();
        send_pattern(&mut client, 8 * PERIOD).await;
        client.shutdown().await.unwrap();
        is_over(&mut client).await;
    });
    let mut server = backend.accept().await;
    assert_eq!(collect(&mut server).await, 16 * PERIOD);
    drop(server);
    sending.await.unwrap();
    proxy.finish().await;
}

/// The relay waits for large pieces of a flow that is fast, and for what comes last, all the same.
#[tokio::test]
async fn the_last_bytes_of_a_fast_flow_are_not_held_back() {
    const FLOW: usize = 24 * 1024 * 1024 + 1;
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let (client, mut server) = tokio::join!(proxy.client_with("x"), backend.accept());
    assert_eq!(read(&mut server, 1).await, b"x");
    let (mut client_reader, mut client_writer) = client.into_split();
    let (mut server_reader, mut server_writer) = server.into_split();
    for _ in 0..3 {
        tokio::join!(send_pattern(&mut server_writer, FLOW), receive(&mut client_reader, FLOW));
        tokio::join!(send_pattern(&mut client_writer, FLOW), receive(&mut server_reader, FLOW));
    }
    drop((client_reader, client_writer, server_reader, server_writer));
    proxy.finish().await;
}

/// Reads so many bytes, whatever follows.
async fn receive(stream: &mut (impl AsyncRead + Unpin), total: usize) {
    assert_eq!(collect(&mut stream.take(total as u64)).await, total);
}

/// Sends until nothing is taken for a while, then goes on in a task when told to.
async fn stalls(sender: &mut TcpStream) -> usize {
    let block = pattern(0..1_000_003);
    let mut sent = 0;
    let stalled = Duration::from_millis(300);
    while sent < BULK {
        let rest = &block[sent % block.len()..];
        match tokio::time::timeout(stalled, sender.write(&rest[..rest.len().min(BULK - sent)])).await {
            Ok(written) => sent += written.unwrap(),
            Err(_) => return sent,
        }
    }
    panic!("64 MB were taken though nobody read them");
}

/// Sends the rest of the bulk, of which `sent` bytes went before.
async fn resume(sender: &mut (impl AsyncWriteExt + Unpin), mut sent: usize) {
    let block = pattern(0..1_000_003);
    while sent < BULK {
        let rest = &block[sent % block.len()..];
        let rest = &rest[..rest.len().min(BULK - sent)];
        write(sender, rest).await;
        sent += rest.len();
    }
}

/// Keeps the system's share small, so that what is measured is ours.
fn small_buffers(stream: &TcpStream) {
    SockRef::from(stream).set_recv_buffer_size(64 * 1024).unwrap();
    SockRef::from(stream).set_send_buffer_size(64 * 1024).unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_backend_and_loses_nothing() {
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let mut client = proxy.client().await;
    small_buffers(&client);
    write(&mut client, "x").await;
    let mut server = backend.accept().await;
    small_buffers(&server);
    assert_eq!(read(&mut server, 1).await, b"x");
    let sent = stalls(&mut server).await;
    let rest = async {
        resume(&mut server, sent).await;
        drop(server);
    };
    let (received, ()) = tokio::join!(collect(&mut client), rest);
    assert_eq!(received, BULK);
    proxy.events.ended_as("Relayed").await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_backend_that_does_not_read_stops_the_client_and_loses_nothing() {
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let mut client = proxy.client().await;
    small_buffers(&client);
    // The first byte of the pattern decides.
    write(&mut client, pattern(0..1)).await;
    let mut server = backend.accept().await;
    small_buffers(&server);
    assert_eq!(read(&mut server, 1).await, pattern(0..1));
    let sent = stalls(&mut client).await;
    let rest = async {
        resume(&mut client, sent).await;
        client.shutdown().await.unwrap();
    };
    let (received, ()) = tokio::join!(collect(&mut server), rest);
    assert_eq!(received, BULK);
    proxy.shutdown.abort();
}

#[tokio::test]
async fn a_connection_that_stands_still_keeps_no_other_waiting() {
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let clogged = proxy.client_with("x").await;
    let mut clogging = backend.accept().await;
    stalls(&mut clogging).await;
    let mut client = proxy.client_with("request").await;
    let server = backend.accept().await;
    answer(server, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    // The other direction of the connection that stands still moves, too.
    let mut clogged = clogged;
    write(&mut clogged, "up").await;
    assert_eq!(read(&mut clogging, 3).await, b"xup");
    reset(clogged);
    reset(clogging);
    proxy.finish().await;
}

const LAST_WORDS: usize = 4_000_000;

/// Reads the last words while it goes on sending for as long as anybody takes it.
async fn talk_and_listen(client: TcpStream) {
    let (mut reader, mut writer) = client.into_split();
    let block = vec![b'.'; 10_000];
    let talk = tokio::spawn(async move { while writer.write_all(&block).await.is_ok() {} });
    assert_eq!(collect(&mut reader).await, LAST_WORDS);
    talk.abort();
}

#[tokio::test]
async fn last_words_reach_a_client_that_is_still_sending() {
    let words = Bytes::from(pattern_bytes(LAST_WORDS));
    let proxy = Proxy::start(deciding(move |_| Verdict::Close(Some(words.clone()))));
    talk_and_listen(proxy.client().await).await;
    proxy.events.ended_as("Refused").await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_backends_last_words_reach_a_client_that_is_still_sending() {
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let client = tokio::spawn(talk_and_listen(proxy.client().await));
    let mut server = backend.accept().await;
    let (mut reader, mut writer) = server.split();
    // Reads all the time, so that the kernel has no reason to reset.
    let mut sink = tokio::io::sink();
    let discard = tokio::io::copy(&mut reader, &mut sink);
    let speak = async {
        send_pattern(&mut writer, LAST_WORDS).await;
        writer.shutdown().await.unwrap();
    };
    let _ = tokio::join!(discard, speak);
    client.await.unwrap();
    proxy.events.ended_as("Relayed").await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_client_that_stops_reading_its_last_words_is_given_up() {
    let words = Bytes::from(pattern_bytes(64_000_000));
    let config = Config { linger: Duration::from_millis(50), ..config() };
    let proxy = Proxy::with(config, deciding(move |_| Verdict::Close(Some(words.clone()))));
    let _client = proxy.client_with("x").await;
    proxy.events.ended_as("Refused").await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_client_that_goes_on_sending_after_the_close_is_given_up() {
    let config = Config { linger: Duration::from_millis(50), ..config() };
    let proxy = Proxy::with(config, deciding(|_| Verdict::Close(Some("go".into()))));
    let (mut reader, mut writer) = proxy.client().await.into_split();
    let talk = async { while writer.write_all(b"more and more").await.is_ok() {} };
    within("the client to be cut off", talk).await;
    let _ = tokio::io::AsyncReadExt::read(&mut reader, &mut [0; 10]).await;
    proxy.events.ended_as("Refused").await;
    proxy.finish().await;
}

/// The first bytes of the endless pattern, which repeats.
fn pattern_bytes(total: usize) -> Vec<u8> {
    let mut bytes = pattern(0..1_000_003);
    while bytes.len() < total {
        bytes.extend_from_within(..(total - bytes.len()).min(1_000_003));
    }
    bytes
}

#[tokio::test]
async fn bytes_of_a_bulk_flow_that_was_cut_off_reach_nobody_else() {
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    for _ in 0..3 {
        let client = proxy.client_with("x").await;
        let mut server = backend.accept().await;
        stalls(&mut server).await;
        reset(client);
        reset(server);
    }
    proxy.events.closed(3).await;
    let mut client = proxy.client_with("x").await;
    let mut server = backend.accept().await;
    assert_eq!(read(&mut server, 1).await, b"x");
    let speak = async {
        send_pattern(&mut server, BULK / 4).await;
        drop(server);
    };
    let (received, ()) = tokio::join!(collect(&mut client), speak);
    assert_eq!(received, BULK / 4);
    proxy.finish().await;
}

#[tokio::test]
async fn many_bulk_flows_that_stand_still_at_once_lose_nothing_when_they_go_on() {
    const FLOWS: usize = 40;
    const SIZE: usize = 6_000_000;
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let mut clients = Vec::new();
    let mut speakers = tokio::task::JoinSet::new();
    for _ in 0..FLOWS {
        let client = proxy.client().await;
        small_buffers(&client);
        client.try_write(b"x").unwrap();
        clients.push(client);
        let mut server = backend.accept().await;
        small_buffers(&server);
        speakers.spawn(async move {
            read(&mut server, 1).await;
            send_pattern(&mut server, SIZE).await;
        });
    }
    // They all get going before the first is read to its end.
    let mut first_parts = Vec::new();
    for client in &mut clients {
        first_parts.push(read(client, 1_000_003).await);
    }
    let whole = pattern(0..1_000_003);
    for (mut client, first) in clients.into_iter().zip(first_parts) {
        assert!(first == whole);
        // The pattern repeats after what was read.
        assert_eq!(collect(&mut client).await, SIZE - first.len());
    }
    within("the speakers", speakers.join_all()).await;
    proxy.finish().await;
}
