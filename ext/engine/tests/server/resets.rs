//! An RST at each phase, from each side, ends that connection at once and nothing else.

use proxymachine_engine::{Config, End, Verdict};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::*;

/// A relayed connection; the backend has got the request, and the client its answer if there is one.
async fn relayed(answered: bool) -> (Proxy, TcpStream, TcpStream) {
    let backend = Backend::start();
    let proxy = Proxy::with(Config { half_closed_timeout: Some(NEVER), ..config() }, always(&backend.remote));
    let mut client = proxy.client_with("request").await;
    let mut server = backend.accept().await;
    assert_eq!(read(&mut server, 7).await, b"request");
    if answered {
        write(&mut server, "reply").await;
        assert_eq!(read(&mut client, 5).await, b"reply");
    }
    (proxy, client, server)
}

/// The same, and the client has ended its side.
async fn half_closed(answered: bool) -> (Proxy, TcpStream, TcpStream) {
    let (proxy, mut client, mut server) = relayed(answered).await;
    client.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut server).await, b"");
    (proxy, client, server)
}

/// Fills the way from `from` to the other end, which does not read, until nothing moves any more.
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
async fn by_the_client_while_it_gets_its_last_words() {
    let words = bytes::Bytes::from(pattern(0..32_000_000));
    let config = Config { linger: NEVER, ..config() };
    let proxy = Proxy::with(config, deciding(move |_| Verdict::Close(Some(words.clone()))));
    let mut client = proxy.client_with("x").await;
    read(&mut client, 1).await;
    reset(client);
    proxy.events.ended_as("Refused").await;
    proxy.finish().await;
}

#[tokio::test]
async fn by_the_client_while_it_is_relayed() {
    for answered in [false, true] {
        let (proxy, client, mut server) = relayed(answered).await;
        reset(client);
        is_over(&mut server).await;
        proxy.events.ended_as(left_first(answered)).await;
        proxy.finish().await;
    }
}

#[tokio::test]
async fn by_the_client_while_the_backend_does_not_read() {
    for answered in [false, true] {
        let (proxy, mut client, server) = relayed(answered).await;
        clog(&mut client).await;
        reset(client);
        proxy.events.ended_as(left_first(answered)).await;
        drop(server);
        proxy.finish().await;
    }
}

#[tokio::test]
async fn by_the_client_that_does_not_read() {
    let (proxy, client, mut server) = relayed(true).await;
    clog(&mut server).await;
    reset(client);
    proxy.events.ended_as("Relayed").await;
    drop(server);
    proxy.finish().await;
}

#[tokio::test]
async fn by_the_client_that_had_ended_its_side() {
    for answered in [false, true] {
        let (proxy, client, mut server) = half_closed(answered).await;
        reset(client);
        is_over(&mut server).await;
        proxy.events.ended_as(left_first(answered)).await;
        proxy.finish().await;
    }
}

#[tokio::test]
async fn by_the_backend_before_it_has_read() {
    // Once the connection stood, its end is no failure to connect: it is not tried again. Many
    // rounds, since the RST may come before, with or after the first write.
    const ROUNDS: usize = 300;
    let backend = Backend::resetting();
    let proxy = Proxy::start(always(&backend));
    for _ in 0..ROUNDS {
        let mut client = proxy.client_with("request").await;
        is_over(&mut client).await;
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
    let mut server = backend.accept().await;
    read(&mut server, 1000).await;
    reset(server);
    is_over(&mut client).await;
    proxy.events.ended_as("ClosedPrematurely").await;
    proxy.finish().await;
}

#[tokio::test]
async fn by_the_backend_while_it_is_relayed() {
    for answered in [false, true] {
        let (proxy, mut client, server) = relayed(answered).await;
        reset(server);
        is_over(&mut client).await;
        proxy.events.ended_as(if answered { "Relayed" } else { "ClosedPrematurely" }).await;
        proxy.finish().await;
    }
}

#[tokio::test]
async fn by_the_backend_that_does_not_read() {
    let (proxy, mut client, server) = relayed(false).await;
    clog(&mut client).await;
    reset(server);
    proxy.events.ended_as("ClosedPrematurely").await;
    drop(client);
    proxy.finish().await;
}

#[tokio::test]
async fn by_the_backend_when_the_client_had_ended_its_side() {
    for answered in [false, true] {
        let (proxy, mut client, server) = half_closed(answered).await;
        reset(server);
        is_over(&mut client).await;
        proxy.events.ended_as(left_first(answered)).await;
        proxy.finish().await;
    }
}

#[tokio::test]
async fn by_both_at_once() {
    let (proxy, client, server) = relayed(true).await;
    reset(client);
    reset(server);
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
    let server = backend.accept().await;
    answer(server, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    proxy.finish().await;
}
