//! Draining: which connections may stay, and for how long.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proxymachine_engine::DrainOutcome;
use proxymachine_engine::{Config, Shutdown, Verdict};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::support::*;

#[tokio::test]
async fn without_connections_it_ends_at_once() {
    let mut proxy = Proxy::with(Config { threads: 3, ..config() }, deciding(|_| Verdict::Wait(None)));
    proxy.shutdown.drain(None);
    assert_eq!(proxy.join().await, DrainOutcome::Drained);
    proxy.check_records();
}

#[tokio::test]
async fn a_drain_before_the_start_ends_the_engine_at_once() {
    let shutdown = Arc::new(Shutdown::new());
    shutdown.drain(None);
    let router = deciding(|_| Verdict::Wait(None));
    let mut proxy = Proxy::on(1, config(), router, Recorder::default(), shutdown);
    assert_eq!(proxy.join().await, DrainOutcome::Drained);
    proxy.check_records();
    assert!(TcpStream::connect(proxy.addresses[0]).await.is_err());
}

#[tokio::test]
async fn silent_clients_are_closed_at_once() {
    let config = Config { undecided_drain: NEVER, ..config() };
    let mut proxy = Proxy::with(config, deciding(|_| Verdict::Wait(None)));
    let mut clients = [proxy.client().await, proxy.client().await, proxy.client().await];
    proxy.events.accepted(3).await;
    proxy.shutdown.drain(None);
    for client in &mut clients {
        is_over(client).await;
    }
    proxy.events.ended_as("Undecided").await;
    assert_eq!(proxy.join().await, DrainOutcome::Drained);
    proxy.check_records();
}

#[tokio::test]
async fn clients_that_have_sent_bytes_may_still_be_decided() {
    let backend = Backend::start();
    let (router, mut questions) = asking();
    let mut proxy = Proxy::with(Config { undecided_drain: NEVER, ..config() }, router);
    let mut client = proxy.client_with("some").await;
    let question = questions.next().await;
    proxy.shutdown.drain(None);
    question.answer(Verdict::Wait(None));
    write(&mut client, " more").await;
    let question = questions.next().await;
    assert_eq!(question.data, "some more");
    question.answer(Verdict::connect(backend.remote.clone()));
    let mut backend_stream = backend.accept().await;
    assert_eq!(read(&mut backend_stream, 9).await, b"some more");
    answer(backend_stream, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    drop(client);
    assert_eq!(proxy.join().await, DrainOutcome::Drained);
    proxy.check_records();
}

#[tokio::test]
async fn clients_still_undecided_after_the_grace_time_are_closed() {
    let grace = Duration::from_millis(60);
    let (router, mut questions) = asking();
    let mut proxy = Proxy::with(Config { undecided_drain: grace, ..config() }, router);
    let mut thinking = proxy.client_with("thinking").await;
    let question = questions.next().await;
    let mut waiting = proxy.client_with("waiting").await;
    questions.next().await.answer(Verdict::Wait(None));
    let start = Instant::now();
    proxy.shutdown.drain(None);
    is_over(&mut thinking).await;
    is_over(&mut waiting).await;
    assert!(start.elapsed() >= grace, "closed after {:?}", start.elapsed());
    question.abandoned().await;
    assert_eq!(proxy.join().await, DrainOutcome::Drained);
    proxy.check_records();
}

#[tokio::test]
async fn relayed_connections_continue_without_a_limit() {
    let backend = Backend::start();
    let config = Config { undecided_drain: Duration::ZERO, ..config() };
    let mut proxy = Proxy::with(config, always(&backend.remote));
    let mut client = proxy.client_with("before").await;
    let mut backend_stream = backend.accept().await;
    assert_eq!(read(&mut backend_stream, 6).await, b"before");
    let mut idle = proxy.client().await;
    proxy.events.accepted(2).await;
    proxy.shutdown.drain(None);
    is_over(&mut idle).await;
    for _ in 0..3 {
        write(&mut client, "ping").await;
        assert_eq!(read(&mut backend_stream, 4).await, b"ping");
        write(&mut backend_stream, "pong").await;
        assert_eq!(read(&mut client, 4).await, b"pong");
    }
    drop(backend_stream);
    is_over(&mut client).await;
    drop(client);
    assert_eq!(proxy.join().await, DrainOutcome::Drained);
    proxy.check_records();
}

#[tokio::test]
async fn connections_being_dialed_continue() {
    let (socket, remote) = Backend::refusing();
    let config = Config { connect_retries: 1_000, undecided_drain: Duration::ZERO, ..config() };
    let mut proxy = Proxy::with(config, always(&remote));
    let mut client = proxy.client_with("request").await;
    proxy.events.retrying(1).await;
    proxy.shutdown.drain(None);
    proxy.events.retrying(2).await;
    let backend_stream = Backend::listening(socket).accept().await;
    answer(backend_stream, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    drop(client);
    assert_eq!(proxy.join().await, DrainOutcome::Drained);
    proxy.check_records();
}

#[tokio::test]
async fn new_clients_are_refused() {
    let backend = Backend::start();
    let mut proxy = Proxy::with(Config { threads: 2, ..config() }, always(&backend.remote));
    let mut client = proxy.client_with("x").await;
    let backend_stream = backend.accept().await;
    proxy.shutdown.drain(None);
    let refused = async {
        while TcpStream::connect(proxy.addresses[0]).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    within("the listener to be closed", refused).await;
    drop(backend_stream);
    is_over(&mut client).await;
    assert_eq!(proxy.join().await, DrainOutcome::Drained);
    proxy.check_records();
}

#[tokio::test]
async fn clients_that_arrive_at_its_beginning_never_hang() {
    let proxy =
        Proxy::with(Config { threads: 2, ..config() }, deciding(|_| Verdict::Close(Some("served".into()))));
    let mut clients = Vec::new();
    for number in 0..100 {
        if number == 70 {
            proxy.shutdown.drain(None);
        }
        if let Ok(client) = TcpStream::connect(proxy.addresses[0]).await {
            let _ = client.try_write(b"x");
            clients.push(client);
        }
    }
    for client in &mut clients {
        let mut received = Vec::new();
        if within("an end", client.read_to_end(&mut received)).await.is_ok() {
            assert!(received == b"served" || received.is_empty(), "{received:?}");
        }
    }
    proxy.finish().await;
}

#[tokio::test]
async fn the_deadline_cuts_the_remaining_connections_off() {
    let backend = Backend::start();
    let (router, mut questions) = asking();
    let mut proxy = Proxy::with(Config { threads: 2, ..config() }, router);
    let mut client = proxy.client_with("x").await;
    questions.next().await.answer(Verdict::connect(backend.remote.clone()));
    let mut backend_stream = backend.accept().await;
    assert_eq!(read(&mut backend_stream, 1).await, b"x");
    let mut undecided = proxy.client_with("y").await;
    let question = questions.next().await;
    let start = Instant::now();
    let limit = Duration::from_millis(100);
    proxy.shutdown.drain(Some(limit));
    assert_eq!(proxy.join().await, DrainOutcome::Forced(2));
    assert!(start.elapsed() >= limit);
    for stream in [&mut client, &mut backend_stream, &mut undecided] {
        is_over(stream).await;
    }
    question.abandoned().await;
    assert_eq!(proxy.stats.current(), 0);
}

#[tokio::test]
async fn a_deadline_can_be_set_later() {
    let (router, mut questions) = asking();
    let mut proxy = Proxy::with(Config { undecided_drain: NEVER, ..config() }, router);
    let mut client = proxy.client_with("x").await;
    let _question = questions.next().await;
    proxy.shutdown.drain(None);
    proxy.shutdown.drain(Some(Duration::from_millis(10)));
    assert_eq!(proxy.join().await, DrainOutcome::Forced(1));
    is_over(&mut client).await;
}

#[tokio::test]
async fn an_abort_ends_all_connections_at_once() {
    let (_socket, remote) = Backend::refusing();
    let mut proxy = Proxy::with(Config { retry_delay: NEVER, ..config() }, always(&remote));
    let mut client = proxy.client_with("x").await;
    proxy.events.retrying(1).await;
    proxy.shutdown.abort();
    assert_eq!(proxy.join().await, DrainOutcome::Forced(1));
    is_over(&mut client).await;
}

#[tokio::test]
async fn a_connection_that_is_cut_off_is_reported_once() {
    let (router, mut questions) = asking();
    let mut proxy = Proxy::start(router);
    let _client = proxy.client_with("x").await;
    let _question = questions.next().await;
    proxy.shutdown.abort();
    assert_eq!(proxy.join().await, DrainOutcome::Forced(1));
    proxy.check_records();
}
