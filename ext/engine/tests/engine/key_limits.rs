//! The limits by key of a route.

use bytes::Bytes;
use proxymachine_engine::{Config, End, KeyLimit, KeyLimits, LimitKey, Remote, Route, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::*;

/// Returns the limits of keys, and the words for a client over one of them.
fn limit(keys: &[(&str, u32)], over: &'static str) -> Option<Box<KeyLimits>> {
    let limits = keys.iter().map(|(key, max)| KeyLimit { key: LimitKey::new(key.as_bytes()), max: *max });
    Some(Box::new(KeyLimits { limits: limits.collect(), over: Bytes::from_static(over.as_bytes()) }))
}

/// Starts a proxy that limits each connection by the keys in its first bytes, such as "a=1 b=2", and replies "welcome".
fn proxy_by_keys(remote: &Remote) -> Proxy {
    let remote = remote.clone();
    Proxy::start(deciding(move |data| {
        let text = std::str::from_utf8(data).unwrap().lines().next().unwrap();
        let keys: Vec<_> = text.split(' ').map(|pair| pair.split_once('=').unwrap()).collect();
        let keys: Vec<_> = keys.into_iter().map(|(key, max)| (key, max.parse().unwrap())).collect();
        route(&remote, |route| {
            route.limit = limit(&keys, "over");
            route.reply = Some("welcome".into());
        })
    }))
}

/// Returns a backend that reads each connection to its end.
fn reading() -> Remote {
    let backend = Backend::start();
    let remote = backend.remote.clone();
    tokio::spawn(async move {
        loop {
            let mut stream = backend.accept_whenever().await;
            tokio::spawn(async move { while matches!(stream.read(&mut [0; 1024]).await, Ok(1..)) {} });
        }
    });
    remote
}

async fn is_welcome(proxy: &Proxy, keys: &str) -> TcpStream {
    let mut client = proxy.client_with(keys).await;
    assert_eq!(read(&mut client, 7).await, b"welcome", "{keys}");
    client
}

async fn is_over_limit(proxy: &Proxy, keys: &str) {
    let mut client = proxy.client_with(keys).await;
    assert_eq!(read_to_end(&mut client).await, b"over", "no reply, for {keys}");
}

#[tokio::test]
async fn a_key_has_as_many_connections_as_the_limit_says() {
    let proxy = proxy_by_keys(&reading());
    let first = is_welcome(&proxy, "a=2").await;
    let second = is_welcome(&proxy, "a=2").await;
    is_over_limit(&proxy, "a=2").await;
    let third = is_welcome(&proxy, "a=3").await;
    let other = is_welcome(&proxy, "b=1").await;
    assert_eq!(proxy.limits.snapshot().keys, 2);
    proxy.events.closed(1).await;
    drop((first, second, third, other));
    proxy.events.closed(5).await;
    assert_eq!(proxy.limits.snapshot().keys, 0);
    drop(is_welcome(&proxy, "a=1").await);
    proxy.finish().await;
}

#[tokio::test]
async fn all_keys_are_counted_or_none() {
    let proxy = proxy_by_keys(&reading());
    let first = is_welcome(&proxy, "a=1").await;
    is_over_limit(&proxy, "b=1 a=1 c=1").await;
    let second = is_welcome(&proxy, "b=1 c=1").await;
    is_over_limit(&proxy, "c=1").await;
    let ends: Vec<_> = proxy.events.all().iter().filter_map(Event::ended).map(|(_, end)| end).collect();
    let keys = ends.iter().map(|end| match &**end {
        End::KeyLimit { key, max } => format!("{key} {max}"),
        other => panic!("{other:?}"),
    });
    assert_eq!(keys.collect::<Vec<_>>(), ["a 1", "c 1"]);
    let over = proxy.limits.snapshot().over;
    let over = over.iter().map(|over| (&*over.name, over.limit, over.max, over.current, over.closed));
    let mut over: Vec<_> = over.collect();
    over.sort_unstable();
    assert_eq!(over, [("a", "limit", 1, 1, 1), ("c", "limit", 1, 1, 1)]);
    drop((first, second));
    proxy.finish().await;
}

#[tokio::test]
async fn a_connection_over_a_limit_is_recorded_and_dials_nothing() {
    let proxy = proxy_by_keys(&reading());
    let first = is_welcome(&proxy, "a=1").await;
    proxy.events.count(1, "a backend", |event| matches!(event, Event::Connected(_))).await;
    let before = proxy.events.all().len();
    is_over_limit(&proxy, "a=1").await;
    proxy.events.closed(1).await;
    let told = proxy.events.all().split_off(before);
    assert!(told.iter().any(|event| matches!(event, Event::Recorded("PL", 0, 4))), "{told:?}");
    assert!(!told.iter().any(|event| matches!(event, Event::Dialing(_))), "{told:?}");
    drop(first);
    proxy.finish().await;
}

#[tokio::test]
async fn a_key_is_held_while_backends_fail_and_counted_once() {
    let backend = Backend::start();
    let (_socket, refusing) = Backend::refusing();
    let (router, mut questions) = asking();
    let proxy = Proxy::with(Config { connect_retries: 0, ..config() }, router);
    let limited = |remote: &Remote| route(remote, |route: &mut Route| route.limit = limit(&[("a", 1)], ""));
    let mut client = proxy.client_with("x").await;
    questions.next().await.answer(limited(&refusing));
    let failed = questions.next().await;
    assert_eq!(proxy.limits.snapshot().keys, 1);
    let mut other = proxy.client_with("y").await;
    questions.next().await.answer(limited(&backend.remote));
    assert_eq!(read_to_end(&mut other).await, b"", "without words");
    failed.answer(limited(&backend.remote));
    answer(backend.accept().await, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    drop(client);
    proxy.events.closed(2).await;
    assert_eq!(proxy.limits.snapshot().keys, 0);
    proxy.finish().await;
}

#[tokio::test]
async fn the_words_are_lost_by_no_client_that_still_sends() {
    let proxy = proxy_by_keys(&reading());
    let first = is_welcome(&proxy, "a=1").await;
    for _ in 0..20 {
        let mut client = proxy.client_with("a=1\n").await;
        let _ = client.write_all(&[b'x'; 10_000]).await;
        assert_eq!(read(&mut client, 4).await, b"over");
    }
    drop(first);
    proxy.finish().await;
}

#[tokio::test]
async fn a_router_learns_the_connections_of_a_source_only_if_it_wants_them() {
    let proxy = Proxy::start(deciding(|_| Verdict::Close(None)));
    let _client = proxy.client().await;
    proxy.events.accepted(1).await;
    assert_eq!(proxy.limits.snapshot().open_sources, 0);
    drop(_client);
    proxy.finish().await;
}
