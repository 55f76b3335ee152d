//! The way to the backend: attempts, names, time limits, and what happens meanwhile.

use std::time::{Duration, Instant};

use proxymachine_engine::{Config, End, Remote, Verdict};
use tokio::io::AsyncWriteExt;

use crate::support::*;

/// The events between accept and close, in short. All of them name `remote`.
fn story(proxy: &Proxy, remote: &Remote) -> Vec<String> {
    let mut story = Vec::new();
    for event in proxy.events.all() {
        let (step, named) = match event {
            Event::Dialing(named) => ("dialing".into(), named),
            Event::Retrying(named, retry) => (format!("retry {retry}"), named),
            Event::Connected(named) => ("connected".into(), named),
            _ => continue,
        };
        assert_eq!(named, remote.to_string());
        story.push(step);
    }
    story
}

#[tokio::test]
async fn a_refusing_backend_is_tried_again_until_the_retries_are_used_up() {
    let (_socket, remote) = Backend::refusing();
    let proxy = Proxy::start(always(&remote));
    let mut client = proxy.client_with("x").await;
    is_over(&mut client).await;
    let end = proxy.events.end().await;
    assert!(matches!(&*end, End::ConnectFailed), "{end:?}");
    assert_eq!(story(&proxy, &remote), ["dialing", "retry 1", "dialing", "retry 2", "dialing"]);
    proxy.finish().await;
}

#[tokio::test]
async fn attempts_are_the_retry_delay_apart() {
    let (_socket, remote) = Backend::refusing();
    let delay = Duration::from_millis(40);
    let proxy = Proxy::with(Config { retry_delay: delay, ..config() }, always(&remote));
    let mut client = proxy.client_with("x").await;
    proxy.events.dialing().await;
    let start = Instant::now();
    is_over(&mut client).await;
    assert!(start.elapsed() >= delay, "two retries took {:?}", start.elapsed());
    proxy.finish().await;
}

#[tokio::test]
async fn without_retries_there_is_one_attempt() {
    let (_socket, remote) = Backend::refusing();
    let proxy = Proxy::with(Config { connect_retries: 0, ..config() }, always(&remote));
    let mut client = proxy.client_with("x").await;
    is_over(&mut client).await;
    assert_eq!(story(&proxy, &remote), ["dialing"]);
    proxy.finish().await;
}

#[tokio::test]
async fn a_backend_that_comes_up_between_two_attempts_gets_everything_in_order() {
    let (socket, remote) = Backend::refusing();
    let (router, mut questions) = asking();
    let proxy = Proxy::with(Config { connect_retries: 1_000, ..config() }, router);
    let mut client = proxy.client_with("one ").await;
    questions.next().await.answer(Verdict::connect(remote.clone()));
    proxy.events.retrying(1).await;
    write(&mut client, "two ").await;
    proxy.events.retrying(2).await;
    write(&mut client, "three").await;
    let mut server = Backend::listening(socket).accept().await;
    assert_eq!(read(&mut server, 13).await, b"one two three");
    answer(server, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    questions.assert_none();
    assert_eq!(story(&proxy, &remote).last().unwrap(), "connected");
    proxy.finish().await;
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_failed_attempt() {
    let remote: Remote = "no-such-host.invalid:80".parse().unwrap();
    let proxy = Proxy::with(Config { connect_retries: 1, ..config() }, {
        let remote = remote.clone();
        deciding(move |_| route(&remote, |route| route.connect_timeout = Duration::from_secs(2)))
    });
    let mut client = proxy.client_with("x").await;
    is_over(&mut client).await;
    proxy.events.ended_as("ConnectFailed").await;
    assert_eq!(story(&proxy, &remote), ["dialing", "retry 1", "dialing"]);
    proxy.finish().await;
}

#[tokio::test]
async fn a_name_is_resolved_and_all_its_addresses_are_tried() {
    // It listens on 127.0.0.1 only; the name may have ::1 before it.
    let backend = Backend::start();
    let remote: Remote = format!("localhost:{}", backend.remote.port()).parse().unwrap();
    let proxy = Proxy::start(always(&remote));
    let mut client = proxy.client_with("x").await;
    let server = backend.accept().await;
    answer(server, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    assert_eq!(story(&proxy, &remote), ["dialing", "connected"]);
    proxy.finish().await;
}

#[tokio::test]
async fn an_attempt_that_is_not_answered_takes_the_connect_timeout() {
    let (_sockets, remote) = Backend::black_hole().await;
    let limit = Duration::from_millis(60);
    let proxy = Proxy::with(Config { connect_retries: 1, ..config() }, {
        let remote = remote.clone();
        deciding(move |_| route(&remote, |route| route.connect_timeout = limit))
    });
    let start = Instant::now();
    let mut client = proxy.client_with("x").await;
    is_over(&mut client).await;
    assert!(start.elapsed() >= 2 * limit, "two attempts took {:?}", start.elapsed());
    proxy.events.ended_as("ConnectFailed").await;
    assert_eq!(story(&proxy, &remote), ["dialing", "retry 1", "dialing"]);
    proxy.finish().await;
}

#[tokio::test]
async fn a_client_that_keeps_sending_is_not_read_while_the_backend_is_dialed() {
    let (socket, remote) = Backend::refusing();
    let proxy = Proxy::with(Config { connect_retries: u32::MAX, ..config() }, always(&remote));
    const SIZE: usize = 64_000_000;
    let mut client = proxy.client().await;
    let sender = tokio::spawn(async move {
        send_pattern(&mut client, SIZE).await;
        client.shutdown().await.unwrap();
        client
    });
    proxy.events.retrying(20).await;
    assert!(!sender.is_finished(), "64 MB went into memory");
    let mut server = Backend::listening(socket).accept().await;
    assert_eq!(collect(&mut server).await, SIZE);
    answer(server, "thanks").await;
    assert_eq!(read_to_end(&mut sender.await.unwrap()).await, b"thanks");
    proxy.finish().await;
}

#[tokio::test]
async fn bytes_are_not_held_back_to_be_sent_with_more() {
    // With Nagle's algorithm and delayed acknowledgements each small write but the first waits 40 ms.
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let mut client = proxy.client_with("x").await;
    client.set_nodelay(true).unwrap();
    let mut server = backend.accept().await;
    server.set_nodelay(true).unwrap();
    assert_eq!(read(&mut server, 1).await, b"x");
    let start = Instant::now();
    for _ in 0..100 {
        for _ in 0..2 {
            write(&mut client, "a").await;
            write(&mut server, "b").await;
        }
        assert_eq!(read(&mut server, 2).await, b"aa");
        assert_eq!(read(&mut client, 2).await, b"bb");
    }
    assert!(start.elapsed() < Duration::from_millis(2000), "100 rounds took {:?}", start.elapsed());
    drop((client, server));
    proxy.finish().await;
}
