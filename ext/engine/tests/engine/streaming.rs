//! Streaming: large transfers, slow readers, last bytes.

use std::time::Duration;

use bytes::Bytes;
use proxymachine_engine::{Config, Verdict};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use crate::support::*;

const BULK: usize = 64_000_000;

/// Sends the pattern and ends the side while it reads the other side to its end.
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
async fn streams_in_both_directions_do_not_stall() {
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let client = tokio::spawn(exchange(proxy.client().await, BULK, BULK));
    let mut backend_stream = backend.accept().await;
    let (mut reader, mut writer) = backend_stream.split();
    let (count, ()) = tokio::join!(collect(&mut reader), send_pattern(&mut writer, BULK));
    assert_eq!(count, BULK);
    drop(backend_stream);
    client.await.unwrap();
    proxy.events.ended_as("Relayed").await;
    proxy.finish().await;
}

#[tokio::test]
async fn an_echoed_stream_does_not_stall() {
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let client = tokio::spawn(exchange(proxy.client().await, BULK, BULK));
    let mut backend_stream = backend.accept().await;
    let (mut reader, mut writer) = backend_stream.split();
    assert_eq!(tokio::io::copy(&mut reader, &mut writer).await.unwrap(), BULK as u64);
    drop(backend_stream);
    client.await.unwrap();
    proxy.finish().await;
}

/// splice(2) does not read past an urgent byte.
#[tokio::test]
async fn a_stream_with_urgent_data_does_not_stall() {
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
    let mut backend_stream = backend.accept().await;
    assert_eq!(collect(&mut backend_stream).await, 16 * PERIOD);
    drop(backend_stream);
    sending.await.unwrap();
    proxy.finish().await;
}

/// The read low-water mark of a fast flow must not delay its last bytes.
#[tokio::test]
async fn a_fast_flow_delivers_its_last_bytes_at_once() {
    const FLOW: usize = 24 * 1024 * 1024 + 1;
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let (client, mut backend_stream) = tokio::join!(proxy.client_with("x"), backend.accept());
    assert_eq!(read(&mut backend_stream, 1).await, b"x");
    let (mut client_reader, mut client_writer) = client.into_split();
    let (mut server_reader, mut server_writer) = backend_stream.into_split();
    for _ in 0..3 {
        tokio::join!(send_pattern(&mut server_writer, FLOW), receive(&mut client_reader, FLOW));
        tokio::join!(send_pattern(&mut client_writer, FLOW), receive(&mut server_reader, FLOW));
    }
    drop((client_reader, client_writer, server_reader, server_writer));
    proxy.finish().await;
}

/// Reads exactly so many bytes.
async fn receive(stream: &mut (impl AsyncRead + Unpin), total: usize) {
    assert_eq!(collect(&mut stream.take(total as u64)).await, total);
}

/// Sends until the stream stalls, and returns a task that sends the rest later.
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
    panic!("64 MB were accepted without a reader");
}

/// Sends the rest of the stream after `sent` bytes.
async fn resume(sender: &mut (impl AsyncWriteExt + Unpin), mut sent: usize) {
    let block = pattern(0..1_000_003);
    while sent < BULK {
        let rest = &block[sent % block.len()..];
        let rest = &rest[..rest.len().min(BULK - sent)];
        write(sender, rest).await;
        sent += rest.len();
    }
}

/// Makes the kernel's buffers small, so that the test measures the engine's.
fn small_buffers(stream: &TcpStream) {
    SockRef::from(stream).set_recv_buffer_size(64 * 1024).unwrap();
    SockRef::from(stream).set_send_buffer_size(64 * 1024).unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_read_slows_the_backend_down() {
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let mut client = proxy.client().await;
    small_buffers(&client);
    write(&mut client, "x").await;
    let mut backend_stream = backend.accept().await;
    small_buffers(&backend_stream);
    assert_eq!(read(&mut backend_stream, 1).await, b"x");
    let sent = stalls(&mut backend_stream).await;
    let rest = async {
        resume(&mut backend_stream, sent).await;
        drop(backend_stream);
    };
    let (received, ()) = tokio::join!(collect(&mut client), rest);
    assert_eq!(received, BULK);
    drop(client);
    proxy.events.ended_as("Relayed").await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_backend_that_does_not_read_slows_the_client_down() {
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let mut client = proxy.client().await;
    small_buffers(&client);
    // The router decides by the first byte of the pattern.
    write(&mut client, pattern(0..1)).await;
    let mut backend_stream = backend.accept().await;
    small_buffers(&backend_stream);
    assert_eq!(read(&mut backend_stream, 1).await, pattern(0..1));
    let sent = stalls(&mut client).await;
    let rest = async {
        resume(&mut client, sent).await;
        client.shutdown().await.unwrap();
    };
    let (received, ()) = tokio::join!(collect(&mut backend_stream), rest);
    assert_eq!(received, BULK);
    proxy.shutdown.abort();
}

#[tokio::test]
async fn a_stalled_connection_does_not_delay_others() {
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let clogged = proxy.client_with("x").await;
    let mut clogging = backend.accept().await;
    stalls(&mut clogging).await;
    let mut client = proxy.client_with("request").await;
    let backend_stream = backend.accept().await;
    answer(backend_stream, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    // The other direction of the stalled connection still moves.
    let mut clogged = clogged;
    write(&mut clogged, "up").await;
    assert_eq!(read(&mut clogging, 3).await, b"xup");
    reset(clogged);
    reset(clogging);
    drop(client);
    proxy.finish().await;
}

const LAST_MESSAGE: usize = 4_000_000;

/// Reads the last message while it sends until the connection is closed.
async fn talk_and_listen(client: TcpStream) {
    let (mut reader, mut writer) = client.into_split();
    let block = vec![b'.'; 10_000];
    let talk = tokio::spawn(async move { while writer.write_all(&block).await.is_ok() {} });
    assert_eq!(collect(&mut reader).await, LAST_MESSAGE);
    talk.abort();
}

#[tokio::test]
async fn the_last_message_reaches_a_client_that_still_sends() {
    let message = Bytes::from(pattern_bytes(LAST_MESSAGE));
    let proxy = Proxy::start(deciding(move |_| Verdict::Close(Some(message.clone()))));
    talk_and_listen(proxy.client().await).await;
    proxy.events.ended_as("ClosedByRouter").await;
    proxy.finish().await;
}

#[tokio::test]
async fn the_backends_last_bytes_reach_a_client_that_still_sends() {
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let client = tokio::spawn(talk_and_listen(proxy.client().await));
    let mut backend_stream = backend.accept().await;
    let (mut reader, mut writer) = backend_stream.split();
    // The client reads all the time, so that the kernel does not reset.
    let mut sink = tokio::io::sink();
    let discard = tokio::io::copy(&mut reader, &mut sink);
    let speak = async {
        send_pattern(&mut writer, LAST_MESSAGE).await;
        writer.shutdown().await.unwrap();
    };
    let _ = tokio::join!(discard, speak);
    client.await.unwrap();
    proxy.events.ended_as("Relayed").await;
    proxy.finish().await;
}

#[tokio::test]
async fn lingering_ends_when_the_client_stops_reading() {
    let message = Bytes::from(pattern_bytes(64_000_000));
    let config = Config { linger: Duration::from_millis(50), ..config() };
    let proxy = Proxy::with(config, deciding(move |_| Verdict::Close(Some(message.clone()))));
    let _client = proxy.client_with("x").await;
    proxy.events.ended_as("ClosedByRouter").await;
    proxy.finish().await;
}

#[tokio::test]
async fn lingering_ends_although_the_client_still_sends() {
    let config = Config { linger: Duration::from_millis(50), ..config() };
    let proxy = Proxy::with(config, deciding(|_| Verdict::Close(Some("go".into()))));
    let (mut reader, mut writer) = proxy.client().await.into_split();
    let talk = async { while writer.write_all(b"more and more").await.is_ok() {} };
    within("the client to be cut off", talk).await;
    let _ = tokio::io::AsyncReadExt::read(&mut reader, &mut [0; 10]).await;
    proxy.events.ended_as("ClosedByRouter").await;
    proxy.finish().await;
}

/// Returns the first bytes of the endless pattern, which repeats.
fn pattern_bytes(total: usize) -> Vec<u8> {
    let mut bytes = pattern(0..1_000_003);
    while bytes.len() < total {
        bytes.extend_from_within(..(total - bytes.len()).min(1_000_003));
    }
    bytes
}

#[tokio::test]
async fn a_pipe_with_bytes_of_an_aborted_flow_is_not_reused() {
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    for _ in 0..3 {
        let client = proxy.client_with("x").await;
        let mut backend_stream = backend.accept().await;
        stalls(&mut backend_stream).await;
        reset(client);
        reset(backend_stream);
    }
    proxy.events.closed(3).await;
    let mut client = proxy.client_with("x").await;
    let mut backend_stream = backend.accept().await;
    assert_eq!(read(&mut backend_stream, 1).await, b"x");
    let speak = async {
        send_pattern(&mut backend_stream, BULK / 4).await;
        drop(backend_stream);
    };
    let (received, ()) = tokio::join!(collect(&mut client), speak);
    assert_eq!(received, BULK / 4);
    drop(client);
    proxy.finish().await;
}

#[tokio::test]
async fn many_stalled_streams_lose_nothing_when_they_resume() {
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
        let mut backend_stream = backend.accept().await;
        small_buffers(&backend_stream);
        speakers.spawn(async move {
            read(&mut backend_stream, 1).await;
            send_pattern(&mut backend_stream, SIZE).await;
        });
    }
    // All streams start before the first is read to its end.
    let mut first_parts = Vec::new();
    for client in &mut clients {
        first_parts.push(read(client, 1_000_003).await);
    }
    let whole = pattern(0..1_000_003);
    for (mut client, first) in clients.into_iter().zip(first_parts) {
        assert!(first == whole);
        // The pattern continues after the bytes already read.
        assert_eq!(collect(&mut client).await, SIZE - first.len());
    }
    within("the speakers", speakers.join_all()).await;
    proxy.finish().await;
}
