//! Dialing: attempts, names, time limits, and the client's bytes meanwhile.

use std::time::{Duration, Instant};

use proxymachine_engine::{Config, End, Remote, Verdict};
use tokio::io::AsyncWriteExt;

use crate::support::*;

/// Returns a summary of the events between accept and close, all of which name `remote`.
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
async fn a_refusing_backend_is_tried_until_the_retries_are_exhausted() {
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
async fn zero_retries_mean_one_attempt() {
    let (_socket, remote) = Backend::refusing();
    let proxy = Proxy::with(Config { connect_retries: 0, ..config() }, always(&remote));
    let mut client = proxy.client_with("x").await;
    is_over(&mut client).await;
    assert_eq!(story(&proxy, &remote), ["dialing"]);
    proxy.finish().await;
}

#[tokio::test]
async fn a_backend_that_starts_between_attempts_gets_everything_in_order() {
    let (socket, remote) = Backend::refusing();
    let (router, mut questions) = asking();
    let proxy = Proxy::with(Config { connect_retries: 1_000, ..config() }, router);
    let mut client = proxy.client_with("one ").await;
    questions.next().await.answer(Verdict::connect(remote.clone()));
    proxy.events.retrying(1).await;
    write(&mut client, "two ").await;
    proxy.events.retrying(2).await;
    write(&mut client, "three").await;
    let mut backend_stream = Backend::listening(socket).accept().await;
    assert_eq!(read(&mut backend_stream, 13).await, b"one two three");
    answer(backend_stream, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    questions.assert_none();
    assert_eq!(story(&proxy, &remote).last().unwrap(), "connected");
    drop(client);
    proxy.finish().await;
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_failed_attempt() {
    let remote: Remote = "no-such-host.invalid:80".parse().unwrap();
    let proxy = Proxy::with(Config { connect_retries: 1, ..config() }, {
        let remote = remote.clone();
        deciding(move |_| route(&remote, |route| route.connect_timeout = Some(Duration::from_secs(2))))
    });
    let mut client = proxy.client_with("x").await;
    is_over(&mut client).await;
    proxy.events.ended_as("ConnectFailed").await;
    assert_eq!(story(&proxy, &remote), ["dialing", "retry 1", "dialing"]);
    proxy.finish().await;
}

#[tokio::test]
async fn all_addresses_of_a_name_are_tried() {
    // The backend listens on 127.0.0.1 only; the name may resolve to ::1 first.
    let backend = Backend::start();
    let remote: Remote = format!("localhost:{}", backend.remote.port()).parse().unwrap();
    let proxy = Proxy::start(always(&remote));
    let mut client = proxy.client_with("x").await;
    let backend_stream = backend.accept().await;
    answer(backend_stream, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    assert_eq!(story(&proxy, &remote), ["dialing", "connected"]);
    drop(client);
    proxy.finish().await;
}

#[tokio::test]
async fn an_unanswered_attempt_takes_the_connect_timeout() {
    let (_sockets, remote) = Backend::black_hole().await;
    let limit = Duration::from_millis(60);
    let proxy = Proxy::with(Config { connect_retries: 1, ..config() }, {
        let remote = remote.clone();
        deciding(move |_| route(&remote, |route| route.connect_timeout = Some(limit)))
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
async fn a_sending_client_is_not_read_during_dialing() {
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
    let mut backend_stream = Backend::listening(socket).accept().await;
    assert_eq!(collect(&mut backend_stream).await, SIZE);
    answer(backend_stream, "thanks").await;
    assert_eq!(read_to_end(&mut sender.await.unwrap()).await, b"thanks");
    proxy.finish().await;
}

#[tokio::test]
async fn small_writes_are_not_delayed() {
    // With Nagle's algorithm and delayed acknowledgements each small write after the first waits 40 ms.
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let mut client = proxy.client_with("x").await;
    client.set_nodelay(true).unwrap();
    let mut backend_stream = backend.accept().await;
    backend_stream.set_nodelay(true).unwrap();
    assert_eq!(read(&mut backend_stream, 1).await, b"x");
    let mut times = Vec::new();
    for _ in 0..100 {
        let start = Instant::now();
        for _ in 0..2 {
            write(&mut client, "a").await;
            write(&mut backend_stream, "b").await;
        }
        assert_eq!(read(&mut backend_stream, 2).await, b"aa");
        assert_eq!(read(&mut client, 2).await, b"bb");
        times.push(start.elapsed());
    }
    times.sort();
    // A busy machine delays some rounds, Nagle's algorithm all of them.
    assert!(times[50] < Duration::from_millis(30), "half of the rounds took more than {:?}", times[50]);
    drop((client, backend_stream));
    proxy.finish().await;
}
