//! Resets: an RST in each phase, from each side, ends one connection and is passed on behind all that came before.

use std::io::ErrorKind::ConnectionReset;

use proxymachine_engine::{Config, End, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;

use crate::support::*;

/// Returns a relayed connection: the backend has the request, and the client the answer, if there is one.
async fn relayed(answered: bool) -> (Proxy, TcpStream, TcpStream) {
    relayed_with(Config { half_closed_timeout: Some(NEVER), ..config() }, answered).await
}

async fn relayed_with(config: Config, answered: bool) -> (Proxy, TcpStream, TcpStream) {
    let backend = Backend::start();
    let proxy = Proxy::with(config, always(&backend.remote));
    let mut client = proxy.client_with("request").await;
    let mut backend_stream = backend.accept().await;
    assert_eq!(read(&mut backend_stream, 7).await, b"request");
    if answered {
        write(&mut backend_stream, "reply").await;
        assert_eq!(read(&mut client, 5).await, b"reply");
    }
    (proxy, client, backend_stream)
}

/// Returns a relayed connection whose client has ended its side.
async fn half_closed(answered: bool) -> (Proxy, TcpStream, TcpStream) {
    let (proxy, mut client, mut backend_stream) = relayed(answered).await;
    client.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut backend_stream).await, b"");
    (proxy, client, backend_stream)
}

/// Fills all buffers from `from` to the other end, which does not read.
async fn clog(from: &mut TcpStream) {
    let block = vec![0; 1 << 20];
    let stalled = std::time::Duration::from_millis(200);
    while let Ok(written) = tokio::time::timeout(stalled, from.write_all(&block)).await {
        written.unwrap();
    }
}

fn left_first(answered: bool) -> &'static str {
    if answered { "Relayed" } else { "ClientLeftFirst" }
}

#[tokio::test]
async fn by_the_client_before_its_first_byte() {
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let client = proxy.client().await;
    proxy.events.accepted(1).await;
    reset(client);
    proxy.events.ended_as("ClientLeft").await;
    questions.assert_none();
    proxy.finish().await;
}

#[tokio::test]
async fn by_the_client_while_the_router_thinks() {
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let client = proxy.client_with("x").await;
    let question = questions.next().await;
    reset(client);
    question.abandoned().await;
    proxy.events.ended_as("ClientLeft").await;
    proxy.finish().await;
}

#[tokio::test]
async fn by_the_client_between_two_questions() {
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let client = proxy.client_with("x").await;
    questions.next().await.answer(Verdict::Wait(None));
    reset(client);
    proxy.events.ended_as("ClientLeft").await;
    proxy.finish().await;
}

#[tokio::test]
async fn by_the_client_that_ended_its_side_while_the_router_thinks() {
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let mut client = proxy.client_with("x").await;
    let question = questions.next().await;
    client.shutdown().await.unwrap();
    reset(client);
    question.abandoned().await;
    proxy.events.ended_as("ClientLeft").await;
    proxy.finish().await;
}

#[tokio::test]
async fn by_the_client_while_the_backend_is_connected() {
    let (_sockets, remote) = Backend::black_hole().await;
    let proxy = Proxy::start(always(&remote));
    let client = proxy.client_with("x").await;
    proxy.events.dialing().await;
    reset(client);
    proxy.events.ended_as("ClientLeftFirst").await;
    proxy.finish().await;
}

#[tokio::test]
async fn by_the_client_between_two_attempts_to_connect() {
    let (_socket, remote) = Backend::refusing();
    let proxy = Proxy::with(Config { retry_delay: NEVER, ..config() }, always(&remote));
    let client = proxy.client_with("x").await;
    proxy.events.retrying(1).await;
    reset(client);
    proxy.events.ended_as("ClientLeftFirst").await;
    proxy.finish().await;
}

#[tokio::test]
async fn by_the_client_that_sent_more_while_the_backend_is_connected() {
    let (_sockets, remote) = Backend::black_hole().await;
    let proxy = Proxy::start(always(&remote));
    let mut client = proxy.client_with("x").await;
    proxy.events.dialing().await;
    write(&mut client, pattern(0..50_000)).await;
    reset(client);
    proxy.events.ended_as("ClientLeftFirst").await;
    proxy.finish().await;
}

#[tokio::test]
async fn by_the_client_during_the_last_message() {
    let message = bytes::Bytes::from(pattern(0..32_000_000));
    let config = Config { linger: NEVER, ..config() };
    let proxy = Proxy::with(config, deciding(move |_| Verdict::Close(Some(message.clone()))));
    let mut client = proxy.client_with("x").await;
    read(&mut client, 1).await;
    reset(client);
    proxy.events.ended_as("ClosedByRouter").await;
    proxy.finish().await;
}

#[tokio::test]
async fn by_the_client_during_the_relay() {
    for answered in [false, true] {
        let (proxy, client, mut backend_stream) = relayed(answered).await;
        reset(client);
        is_reset(&mut backend_stream).await;
        proxy.events.ended_as(left_first(answered)).await;
        let code = if answered { "CD" } else { "CH" };
        assert_eq!(proxy.events.connection_record().await.0, code);
        proxy.finish().await;
    }
}

#[tokio::test]
async fn by_the_client_in_the_middle_of_its_upload() {
    for answered in [false, true] {
        let (proxy, mut client, mut backend_stream) = relayed(answered).await;
        let half = pattern(0..50_000);
        write(&mut client, &half).await;
        reset(client);
        assert!(read_to_reset(&mut backend_stream).await == half);
        proxy.events.ended_as(left_first(answered)).await;
        proxy.finish().await;
    }
}

#[tokio::test]
async fn by_the_client_during_its_upload_to_a_backend_that_has_ended() {
    let (proxy, mut client, mut backend_stream) = relayed(true).await;
    backend_stream.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut client).await, b"");
    let half = pattern(0..50_000);
    write(&mut client, &half).await;
    reset(client);
    assert!(read_to_reset(&mut backend_stream).await == half);
    proxy.events.ended_as("Relayed").await;
    assert_eq!(proxy.events.connection_record().await.0, "CD");
    proxy.finish().await;
}

#[tokio::test]
async fn by_the_client_while_the_backend_does_not_read() {
    for answered in [false, true] {
        let (proxy, mut client, mut backend_stream) = relayed(answered).await;
        clog(&mut client).await;
        reset(client);
        assert!(read_to_reset(&mut backend_stream).await.len() > 100_000);
        proxy.events.ended_as(left_first(answered)).await;
        proxy.finish().await;
    }
}

#[tokio::test]
async fn by_the_client_while_the_backend_reads_no_more() {
    let milliseconds = |count| Some(std::time::Duration::from_millis(count));
    let half_closed = Config { half_closed_timeout: milliseconds(50), ..config() };
    // Longer than the pause after which `clog` takes the buffers for full.
    let idle = Config { half_closed_timeout: Some(NEVER), idle_timeout: milliseconds(1000), ..config() };
    for (answered, config) in
        [(false, half_closed.clone()), (true, half_closed), (false, idle.clone()), (true, idle)]
    {
        let (proxy, mut client, mut backend_stream) = relayed_with(config, answered).await;
        clog(&mut client).await;
        reset(client);
        proxy.events.ended_as(left_first(answered)).await;
        read_to_reset(&mut backend_stream).await;
        proxy.finish().await;
    }
}

#[tokio::test]
async fn by_the_client_that_does_not_read() {
    let (proxy, client, mut backend_stream) = relayed(true).await;
    clog(&mut backend_stream).await;
    reset(client);
    proxy.events.ended_as("Relayed").await;
    drop(backend_stream);
    proxy.finish().await;
}

#[tokio::test]
async fn by_the_client_that_had_ended_its_side() {
    for answered in [false, true] {
        let (proxy, client, backend_stream) = half_closed(answered).await;
        reset(client);
        let failed = within("a reset", backend_stream.ready(Interest::ERROR)).await.unwrap();
        assert!(failed.is_error());
        proxy.events.ended_as(left_first(answered)).await;
        proxy.finish().await;
    }
}

#[tokio::test]
async fn by_the_backend_before_it_reads() {
    // A reset after the handshake is not a failed connect, so there is no retry. Many
    // rounds, since the RST may come before, with or after the first write.
    const ROUNDS: usize = 300;
    let backend = Backend::resetting();
    let proxy = Proxy::start(always(&backend));
    for _ in 0..ROUNDS {
        let mut client = proxy.client_with("request").await;
        is_reset(&mut client).await;
    }
    proxy.events.closed(ROUNDS).await;
    let events = proxy.events.all();
    let retries = events.iter().filter(|event| matches!(event, Event::Retrying(..))).count();
    assert_eq!(retries, 0, "{retries} of {ROUNDS} backends were tried again");
    for (_, end) in events.iter().filter_map(Event::ended) {
        assert!(matches!(*end, End::ClosedPrematurely { .. }), "{end:?}");
    }
    proxy.finish().await;
}

#[tokio::test]
async fn by_the_backend_in_the_middle_of_the_replay() {
    let backend = Backend::start();
    let remote = backend.remote.clone();
    let data = bytes::Bytes::from(pattern(0..32_000_000));
    let proxy = Proxy::start(deciding(move |_| route(&remote, |route| route.data = Some(data.clone()))));
    let mut client = proxy.client_with("request").await;
    let mut backend_stream = backend.accept().await;
    read(&mut backend_stream, 1000).await;
    reset(backend_stream);
    is_reset(&mut client).await;
    proxy.events.ended_as("ClosedPrematurely").await;
    proxy.finish().await;
}

#[tokio::test]
async fn by_the_backend_during_the_relay() {
    for answered in [false, true] {
        let (proxy, mut client, backend_stream) = relayed(answered).await;
        reset(backend_stream);
        is_reset(&mut client).await;
        proxy.events.ended_as(if answered { "Relayed" } else { "ClosedPrematurely" }).await;
        let code = if answered { "SD" } else { "SH" };
        assert_eq!(proxy.events.connection_record().await.0, code);
        proxy.finish().await;
    }
}

#[tokio::test]
async fn by_the_backend_in_the_middle_of_its_answer() {
    for half_closed in [false, true] {
        let (proxy, mut client, mut backend_stream) = relayed(true).await;
        if half_closed {
            client.shutdown().await.unwrap();
            assert_eq!(read_to_end(&mut backend_stream).await, b"");
        }
        let half = pattern(0..50_000);
        write(&mut backend_stream, &half).await;
        reset(backend_stream);
        assert!(read_to_reset(&mut client).await == half);
        proxy.events.ended_as("Relayed").await;
        proxy.finish().await;
    }
}

#[tokio::test]
async fn by_the_backend_that_is_noticed_by_a_write() {
    // The client sends without a pause, so that mostly a write to the backend reports the reset.
    for _ in 0..20 {
        let (proxy, client, mut backend_stream) = relayed(true).await;
        let (mut reads, mut writes) = client.into_split();
        let sending = async {
            loop {
                if let Err(error) = writes.write_all(&[0; 1000]).await {
                    return error.kind();
                }
            }
        };
        let ending = async {
            read(&mut backend_stream, 100_000).await;
            let half = pattern(0..50_000);
            write(&mut backend_stream, &half).await;
            reset(backend_stream);
            let mut received = Vec::new();
            let end = reads.read_to_end(&mut received).await.map_err(|error| error.kind());
            assert!(received == half);
            end
        };
        // The client's kernel reports the reset once: to a read or to a write.
        let ends = within("the end", async { tokio::join!(sending, ending) }).await;
        assert!(matches!(ends, (ConnectionReset, _) | (_, Err(ConnectionReset))), "{ends:?}");
        proxy.events.ended_as("Relayed").await;
        assert_eq!(proxy.events.connection_record().await.0, "SD");
        proxy.finish().await;
    }
}

#[tokio::test]
async fn by_the_backend_after_its_end() {
    let (proxy, mut client, mut backend_stream) = relayed(true).await;
    backend_stream.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut client).await, b"");
    reset(backend_stream);
    let failed = within("a reset", client.ready(Interest::ERROR)).await.unwrap();
    assert!(failed.is_error());
    proxy.events.ended_as("Relayed").await;
    assert_eq!(proxy.events.connection_record().await.0, "--");
    proxy.finish().await;
}

#[tokio::test]
async fn by_the_backend_before_its_first_byte_does_not_cost_the_last_message() {
    let backend = Backend::start();
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let mut client = proxy.client_with("request").await;
    questions.next().await.answer(Verdict::connect(backend.remote.clone()));
    let mut backend_stream = backend.accept().await;
    assert_eq!(read(&mut backend_stream, 7).await, b"request");
    reset(backend_stream);
    questions.next().await.answer(Verdict::Close(Some("sorry".into())));
    write(&mut client, "more").await;
    assert_eq!(read_to_end(&mut client).await, b"sorry");
    proxy.events.ended_as("ClosedPrematurely").await;
    drop(client);
    proxy.finish().await;
}

#[tokio::test]
async fn by_the_backend_that_does_not_read() {
    let (proxy, mut client, backend_stream) = relayed(false).await;
    clog(&mut client).await;
    reset(backend_stream);
    proxy.events.ended_as("ClosedPrematurely").await;
    drop(client);
    proxy.finish().await;
}

#[tokio::test]
async fn by_the_backend_when_the_client_had_ended_its_side() {
    for answered in [false, true] {
        let (proxy, mut client, backend_stream) = half_closed(answered).await;
        reset(backend_stream);
        is_over(&mut client).await;
        proxy.events.ended_as(left_first(answered)).await;
        proxy.finish().await;
    }
}

#[tokio::test]
async fn by_both_at_once() {
    let (proxy, client, backend_stream) = relayed(true).await;
    reset(client);
    reset(backend_stream);
    proxy.events.ended_as("Relayed").await;
    proxy.finish().await;
}

#[tokio::test]
async fn by_many_clients_before_they_are_accepted() {
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    for _ in 0..200 {
        reset(proxy.client().await);
    }
    let mut client = proxy.client_with("request").await;
    let backend_stream = backend.accept().await;
    answer(backend_stream, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    drop(client);
    proxy.finish().await;
}
