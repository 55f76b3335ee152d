//! Each connection ends once, for one reason, and the counters know it.

use bytes::Bytes;
use proxymachine_engine::{Config, Failure, Verdict};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use crate::support::*;

#[tokio::test]
async fn the_observer_is_told_the_whole_story_in_order() {
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let mut client = proxy.client_with("request").await;
    let server = backend.accept().await;
    answer(server, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    proxy.events.closed(1).await;
    let peer = Some(client.local_addr().unwrap());
    let story: Vec<String> = proxy.events.all().iter().map(|event| format!("{event:?}")).collect();
    let remote = backend.remote.to_string();
    assert_eq!(
        story,
        [
            format!("Accepted({peer:?})"),
            format!("Dialing({remote:?})"),
            format!("Connected({remote:?})"),
            format!("Ended({peer:?}, Relayed)"),
            "Finished(\"--\", 7, 5)".into(),
            "Closed(0)".into(),
        ]
    );
    proxy.finish().await;
}

#[tokio::test]
async fn the_client_is_not_closed_before_the_router_has_said_what_to_do_about_a_failure() {
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
async fn current_max_and_total_count_what_they_say() {
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
async fn the_observer_is_told_how_many_are_left() {
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
        let server = backend.accept().await;
        answer(server, "reply").await;
        assert_eq!(read_to_end(&mut client).await, b"reply");
    }
    proxy.finish().await;
}

#[tokio::test]
async fn many_clients_on_two_threads_get_each_their_own_bytes() {
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
        let mut server = backend.accept().await;
        tasks.spawn(async move {
            let request = read_to_end(&mut server).await;
            write(&mut server, &request).await;
        });
    }
    within("all clients", tasks.join_all()).await;
    proxy.events.closed(CLIENTS).await;
    assert_eq!(proxy.stats.total(), CLIENTS as u64);
    proxy.finish().await;
}

/// Panics if the first byte is '!', at once or when the verdict is awaited.
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
async fn a_panicking_router_ends_that_connection_and_no_other() {
    for at_once in [true, false] {
        let backend = Backend::start();
        let mut proxy = Proxy::start(panicking(&backend, at_once));
        let mut before = proxy.client_with("before").await;
        let server = backend.accept().await;
        let mut victim = proxy.client_with("!").await;
        is_over(&mut victim).await;
        answer(server, "still there").await;
        assert_eq!(read_to_end(&mut before).await, b"still there");
        let mut after = proxy.client_with("after").await;
        let server = backend.accept().await;
        answer(server, "there again").await;
        assert_eq!(read_to_end(&mut after).await, b"there again");
        proxy.shutdown.drain(None);
        assert_eq!(proxy.join().await, proxymachine_engine::Outcome::Drained);
        assert_eq!(proxy.stats.current(), 0);
        assert_eq!(proxy.stats.total(), 3);
    }
}

#[tokio::test]
async fn a_connection_whose_router_panicked_has_one_end_too() {
    let backend = Backend::start();
    let proxy = Proxy::start(panicking(&backend, false));
    let mut victim = proxy.client_with("!").await;
    is_over(&mut victim).await;
    proxy.finish().await;
}

#[tokio::test]
async fn the_bytes_of_an_account_are_those_that_were_sent() {
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
    let mut server = backend.accept().await;
    assert_eq!(read_to_end(&mut server).await.len(), UP);
    write(&mut server, &pattern(0..DOWN)).await;
    drop(server);
    assert_eq!(request.await.unwrap(), DOWN);
    assert_eq!(proxy.events.account().await, ("--", UP as u64, DOWN as u64));
    proxy.finish().await;
}

#[tokio::test]
async fn last_words_and_replies_are_bytes_to_the_client() {
    let proxy = Proxy::start(deciding(|_| Verdict::Close(Some(Bytes::from_static(b"go away")))));
    let mut client = proxy.client_with("request").await;
    assert_eq!(read_to_end(&mut client).await, b"go away");
    assert_eq!(proxy.events.account().await, ("PR", 0, 7));
    proxy.finish().await;
}

#[tokio::test]
async fn who_is_cut_off_has_an_account_with_all_bytes_up_to_then() {
    let backend = Backend::start();
    let mut proxy = Proxy::start(always(&backend.remote));
    let mut client = proxy.client_with("request").await;
    let mut server = backend.accept().await;
    assert_eq!(read(&mut server, 7).await, b"request");
    write(&mut server, "answer").await;
    assert_eq!(read(&mut client, 6).await, b"answer");
    proxy.shutdown.drain(Some(std::time::Duration::ZERO));
    proxy.join().await;
    assert_eq!(proxy.events.account().await, ("KD", 7, 6));
}
