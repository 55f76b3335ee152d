//! Records and counters: each connection ends once, for one reason.

use bytes::Bytes;
use proxymachine_engine::{Config, Failure, Verdict};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use crate::support::*;

#[tokio::test]
async fn the_observer_gets_all_events_in_order() {
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let mut client = proxy.client_with("request").await;
    let backend_stream = backend.accept().await;
    answer(backend_stream, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    let peer = Some(client.local_addr().unwrap());
    drop(client);
    proxy.events.closed(1).await;
    let story: Vec<String> = proxy.events.all().iter().map(|event| format!("{event:?}")).collect();
    let remote = backend.remote.to_string();
    assert_eq!(
        story,
        [
            format!("Accepted({peer:?})"),
            format!("Dialing({remote:?})"),
            format!("Connected({remote:?})"),
            format!("Ended({peer:?}, Relayed)"),
            "Recorded(\"--\", 7, 5)".into(),
            "Closed(0)".into(),
        ]
    );
    proxy.finish().await;
}

#[tokio::test]
async fn the_client_stays_open_until_the_router_has_answered_a_failure() {
    let (_socket, remote) = Backend::refusing();
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let mut client = proxy.client_with("x").await;
    questions.next().await.answer(Verdict::connect(remote.clone()));
    let failure = questions.next().await;
    assert_eq!(failure.kind, Kind::Failed(Failure::Connect, remote.to_string()));
    assert_eq!(proxy.stats.current(), 1);
    assert!(client.try_read(&mut [0]).is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock));
    failure.answer(Verdict::Close(None));
    is_over(&mut client).await;
    proxy.events.ended_as("ConnectFailed").await;
    proxy.finish().await;
}

#[tokio::test]
async fn stats_count_current_max_and_total() {
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    for round in 1..=2 {
        let mut clients = Vec::new();
        for number in 1..=5 {
            clients.push(proxy.client_with("x").await);
            proxy.events.accepted((round - 1) * 5 + number).await;
            assert_eq!(proxy.stats.current(), number as u64);
        }
        for _ in &clients {
            questions.next().await.answer(Verdict::Close(None));
        }
        proxy.events.closed(round * 5).await;
        assert_eq!(proxy.stats.current(), 0);
        assert_eq!(proxy.stats.max(), 5);
        assert_eq!(proxy.stats.total(), round as u64 * 5);
    }
    proxy.finish().await;
}

#[tokio::test]
async fn connection_closed_reports_the_number_of_open_connections() {
    let proxy = Proxy::start(deciding(|_| Verdict::Close(None)));
    let mut clients = Vec::new();
    for number in 1..=3 {
        clients.push(proxy.client().await);
        proxy.events.accepted(number).await;
    }
    for (number, client) in clients.iter_mut().enumerate() {
        write(client, "x").await;
        proxy.events.closed(number + 1).await;
    }
    let left: Vec<u64> = proxy.events.all().iter().filter_map(left).collect();
    assert_eq!(left, [2, 1, 0]);
    proxy.finish().await;
}

fn left(event: &Event) -> Option<u64> {
    match event {
        Event::Closed(left) => Some(*left),
        _ => None,
    }
}

#[tokio::test]
async fn all_listeners_are_served() {
    let backend = Backend::start();
    let router = always(&backend.remote);
    let proxy = Proxy::on(3, config(), router, Recorder::default(), Default::default());
    for listener in [2, 0, 1] {
        let mut client = proxy.client_of(listener).await;
        write(&mut client, "request").await;
        let backend_stream = backend.accept().await;
        answer(backend_stream, "reply").await;
        assert_eq!(read_to_end(&mut client).await, b"reply");
    }
    proxy.finish().await;
}

#[tokio::test]
async fn clients_on_two_threads_get_their_own_bytes() {
    const CLIENTS: usize = 100;
    let backend = Backend::start();
    let proxy = Proxy::with(Config { threads: 2, ..config() }, always(&backend.remote));
    let mut tasks = JoinSet::new();
    for number in 0..CLIENTS {
        let mut client = proxy.client().await;
        tasks.spawn(async move {
            let request = pattern(number * 1000..(number + 1) * 1000);
            write(&mut client, &request).await;
            client.shutdown().await.unwrap();
            assert!(read_to_end(&mut client).await == request, "client {number}");
        });
    }
    for _ in 0..CLIENTS {
        let mut backend_stream = backend.accept().await;
        tasks.spawn(async move {
            let request = read_to_end(&mut backend_stream).await;
            write(&mut backend_stream, &request).await;
        });
    }
    within("all clients", tasks.join_all()).await;
    proxy.events.closed(CLIENTS).await;
    assert_eq!(proxy.stats.total(), CLIENTS as u64);
    proxy.finish().await;
}

/// A router that panics if the first byte is '!', at once or while the verdict is awaited.
fn panicking(backend: &Backend, at_once: bool) -> impl proxymachine_engine::Router + use<> {
    let remote = backend.remote.clone();
    move |_: &proxymachine_engine::Client, data: Bytes| {
        assert!(!at_once || data[0] != b'!', "the router panics, as it should in this test");
        let remote = remote.clone();
        async move {
            assert!(data[0] != b'!', "the router panics, as it should in this test");
            Verdict::connect(remote)
        }
    }
}

#[tokio::test]
async fn a_panic_in_the_router_ends_one_connection() {
    for at_once in [true, false] {
        let backend = Backend::start();
        let mut proxy = Proxy::start(panicking(&backend, at_once));
        let mut before = proxy.client_with("before").await;
        let backend_stream = backend.accept().await;
        let mut victim = proxy.client_with("!").await;
        is_over(&mut victim).await;
        answer(backend_stream, "still there").await;
        assert_eq!(read_to_end(&mut before).await, b"still there");
        let mut after = proxy.client_with("after").await;
        let backend_stream = backend.accept().await;
        answer(backend_stream, "there again").await;
        assert_eq!(read_to_end(&mut after).await, b"there again");
        drop((before, after));
        proxy.shutdown.drain(None);
        assert_eq!(proxy.join().await, proxymachine_engine::DrainOutcome::Drained);
        assert_eq!(proxy.stats.current(), 0);
        assert_eq!(proxy.stats.total(), 3);
    }
}

#[tokio::test]
async fn a_panic_in_the_router_is_reported_as_one_end() {
    let backend = Backend::start();
    let proxy = Proxy::start(panicking(&backend, false));
    let mut victim = proxy.client_with("!").await;
    is_over(&mut victim).await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_record_counts_the_bytes_that_were_sent() {
    const UP: usize = 3_000_000;
    const DOWN: usize = 5_000_000;
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let mut client = proxy.client().await;
    let request = tokio::spawn(async move {
        write(&mut client, &pattern(0..UP)).await;
        client.shutdown().await.unwrap();
        read_to_end(&mut client).await.len()
    });
    let mut backend_stream = backend.accept().await;
    assert_eq!(read_to_end(&mut backend_stream).await.len(), UP);
    write(&mut backend_stream, &pattern(0..DOWN)).await;
    drop(backend_stream);
    assert_eq!(request.await.unwrap(), DOWN);
    assert_eq!(proxy.events.connection_record().await, ("--", UP as u64, DOWN as u64));
    proxy.finish().await;
}

#[tokio::test]
async fn replies_and_last_messages_count_as_bytes_to_the_client() {
    let proxy = Proxy::start(deciding(|_| Verdict::Close(Some(Bytes::from_static(b"go away")))));
    let mut client = proxy.client_with("request").await;
    assert_eq!(read_to_end(&mut client).await, b"go away");
    assert_eq!(proxy.events.connection_record().await, ("PR", 0, 7));
    proxy.finish().await;
}

#[tokio::test]
async fn the_record_of_a_connection_that_is_cut_off_is_complete() {
    let backend = Backend::start();
    let mut proxy = Proxy::start(always(&backend.remote));
    let mut client = proxy.client_with("request").await;
    let mut backend_stream = backend.accept().await;
    assert_eq!(read(&mut backend_stream, 7).await, b"request");
    write(&mut backend_stream, "answer").await;
    assert_eq!(read(&mut client, 6).await, b"answer");
    proxy.shutdown.drain(Some(std::time::Duration::ZERO));
    proxy.join().await;
    assert_eq!(proxy.events.connection_record().await, ("KD", 7, 6));
}
