//! Failover: the route's other backends, and those that the router names after a failure.

use std::time::Duration;

use bytes::Bytes;
use proxymachine_engine::proxy_protocol::Version;
use proxymachine_engine::{Config, End, Failure, Remote, Verdict};
use tokio::io::AsyncWriteExt;

use crate::support::*;

/// Returns a summary of the connect attempts; the remotes are called a, b, c.
fn story(proxy: &Proxy, remotes: &[&Remote]) -> Vec<String> {
    let short = |named: String| {
        let names = named.split(", ").map(|name| {
            let index = remotes.iter().position(|remote| remote.to_string() == name);
            (b'a' + u8::try_from(index.expect("a remote of the test")).unwrap()) as char
        });
        names.collect::<String>()
    };
    let steps = proxy.events.all().into_iter().filter_map(|event| match event {
        Event::Dialing(named) => Some(format!("dialing {}", short(named))),
        Event::Retrying(named, retry) => Some(format!("retry {retry} of {}", short(named))),
        Event::Connected(named) => Some(format!("connected {}", short(named))),
        Event::ConnectFailed(named, rounds) => Some(format!("{} failed {rounds} times", short(named))),
        Event::RedirectedTooOften(limit) => Some(format!("more than {limit} redirects")),
        Event::DialStarved(named, why) => Some(format!("starved {}: {why}", short(named))),
        _ => None,
    });
    steps.collect()
}

fn nowhere() -> Remote {
    "no-such-host.invalid:80".parse().unwrap()
}

#[tokio::test]
async fn the_next_backend_is_tried_at_once_and_gets_everything() {
    let backend = Backend::start();
    let (_socket, refusing) = Backend::refusing();
    let (_sockets, silent) = Backend::black_hole().await;
    let (router, mut questions) = asking();
    // A retry would outlast the test.
    let proxy = Proxy::with(Config { retry_delay: NEVER, ..config() }, router);
    for failing in [refusing, silent, nowhere(), "unix:/no/such/file".parse().unwrap()] {
        let before = proxy.events.all().len();
        let mut client = proxy.client_with("one ").await;
        questions.next().await.answer(Verdict::Wait(None));
        write(&mut client, "two").await;
        questions.next().await.answer(route(&failing, |route| {
            route.connect_timeout = Some(Duration::from_millis(500));
            route.others = vec![backend.remote.clone().into()];
        }));
        let mut backend_stream = backend.accept().await;
        assert_eq!(read(&mut backend_stream, 7).await, b"one two");
        write(&mut client, " three").await;
        client.shutdown().await.unwrap();
        assert_eq!(read_to_end(&mut backend_stream).await, b" three");
        answer(backend_stream, "reply").await;
        assert_eq!(read_to_end(&mut client).await, b"reply");
        let told = proxy.events.all().split_off(before);
        let dialed = |remote: &Remote| {
            told.iter().filter(|e| matches!(e, Event::Dialing(named) if *named == remote.to_string())).count()
        };
        assert_eq!((dialed(&failing), dialed(&backend.remote)), (1, 1), "{failing}");
    }
    questions.assert_none();
    proxy.finish().await;
}

#[tokio::test]
async fn rounds_follow_the_routes_retries_and_delay() {
    let ((_one, a), (_two, b)) = (Backend::refusing(), Backend::refusing());
    // The route's settings apply; these would outlast the test.
    let proxy = Proxy::with(Config { retry_delay: NEVER, connect_retries: 7, ..config() }, {
        let (a, b) = (a.clone(), b.clone());
        deciding(move |_| {
            route(&a, |route| {
                route.others = vec![b.clone().into()];
                route.retries = Some(1);
                route.retry_delay = Some(Duration::from_millis(1));
            })
        })
    });
    let mut client = proxy.client_with("x").await;
    is_over(&mut client).await;
    proxy.events.ended_as("ConnectFailed").await;
    let round = ["dialing a", "dialing b", "retry 1 of a", "dialing a", "dialing b", "ab failed 2 times"];
    assert_eq!(story(&proxy, &[&a, &b]), round);
    proxy.finish().await;
}

#[tokio::test]
async fn the_connected_backend_is_named_in_a_failure() {
    let ((_one, a), (_two, b), backend) = (Backend::refusing(), Backend::refusing(), Backend::start());
    let c = backend.remote.clone();
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let mut client = proxy.client_with("x").await;
    questions.next().await.answer(route(&a, |route| route.others = vec![b.clone().into(), c.clone().into()]));
    let mut backend_stream = backend.accept().await;
    assert_eq!(read(&mut backend_stream, 1).await, b"x");
    drop(backend_stream);
    let question = questions.next().await;
    assert_eq!(question.kind, Kind::Failed(Failure::Premature, c.to_string()));
    question.answer(Verdict::Close(Some("sorry".into())));
    assert_eq!(read_to_end(&mut client).await, b"sorry");
    let end = proxy.events.end().await;
    assert!(matches!(&*end, End::ClosedPrematurely { remote, is_reset: false } if *remote == c), "{end:?}");
    assert_eq!(story(&proxy, &[&a, &b, &c]), ["dialing a", "dialing b", "dialing c", "connected c"]);
    drop(client);
    proxy.finish().await;
}

#[tokio::test]
async fn a_silent_backend_is_reported_and_a_last_message_sent() {
    let backend = Backend::start();
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let mut client = proxy.client_with("x").await;
    let limit = Some(Duration::from_millis(30));
    questions.next().await.answer(route(&backend.remote, |route| route.inactivity_timeout = limit));
    let _server = backend.accept().await;
    let question = questions.next().await;
    assert_eq!(question.kind, Kind::Failed(Failure::Inactivity, backend.remote.to_string()));
    question.answer(Verdict::Close(Some("sorry".into())));
    assert_eq!(read_to_end(&mut client).await, b"sorry");
    proxy.events.ended_as("Inactive").await;
    proxy.finish().await;
}

/// Tests each replay: the client's bytes or the route's data, with and without a header.
#[tokio::test]
async fn a_redirect_replays_everything() {
    let backend = Backend::start();
    let (_socket, a) = Backend::refusing();
    let b = backend.remote.clone();
    for first in [None, Some("rewritten")] {
        for second in [None, Some("written anew")] {
            for header in [None, Some(Version::One)] {
                let (router, mut questions) = asking();
                let proxy = Proxy::start(router);
                let mut client = proxy.client_with("original").await;
                questions.next().await.answer(route(&a, |route| {
                    route.data = first.map(Bytes::from);
                    route.proxy_protocol = header;
                    route.retries = Some(0);
                }));
                let question = questions.next().await;
                assert_eq!(question.kind, Kind::Failed(Failure::Connect, a.to_string()));
                question.answer(route(&b, |route| {
                    route.data = second.map(Bytes::from);
                    route.proxy_protocol = header;
                }));
                let mut expected = String::new();
                if header.is_some() {
                    let (from, to) = (client.local_addr().unwrap(), proxy.addresses[0]);
                    expected = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n", from.port(), to.port());
                }
                expected += second.unwrap_or("original");
                let mut backend_stream = backend.accept().await;
                client.shutdown().await.unwrap();
                assert_eq!(String::from_utf8(read_to_end(&mut backend_stream).await).unwrap(), expected);
                answer(backend_stream, "reply").await;
                assert_eq!(read_to_end(&mut client).await, b"reply");
                let steps = ["dialing a", "a failed 1 times", "dialing b", "connected b"];
                assert_eq!(story(&proxy, &[&a, &b]), steps);
                questions.assert_none();
                proxy.finish().await;
            }
        }
    }
}

#[tokio::test]
async fn a_failed_connect_may_send_a_last_message() {
    let (_socket, a) = Backend::refusing();
    for message in [None, Some(Bytes::from("come back later"))] {
        let (router, mut questions) = asking();
        let proxy = Proxy::start(router);
        let mut client = proxy.client_with("x").await;
        questions.next().await.answer(route(&a, |route| route.reply = Some("one moment, ".into())));
        questions.next().await.answer(Verdict::Close(message.clone()));
        let mut expected = b"one moment, ".to_vec();
        expected.extend(message.unwrap_or_default());
        assert_eq!(read_to_end(&mut client).await, expected);
        proxy.events.ended_as("ConnectFailed").await;
        proxy.finish().await;
    }
}

#[tokio::test]
async fn wait_after_a_failure_closes() {
    let (_socket, a) = Backend::refusing();
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let mut client = proxy.client_with("x").await;
    questions.next().await.answer(Verdict::connect(a));
    questions.next().await.answer(Verdict::Wait(Some("unheard".into())));
    is_over(&mut client).await;
    proxy.events.ended_as("ConnectFailed").await;
    questions.assert_none();
    proxy.finish().await;
}

#[tokio::test]
async fn ten_redirects_are_the_limit() {
    let (_socket, a) = Backend::refusing();
    let (router, mut questions) = asking();
    let proxy = Proxy::with(Config { connect_retries: 0, ..config() }, router);
    let mut client = proxy.client_with("x").await;
    for _ in 0..12 {
        questions.next().await.answer(Verdict::connect(a.clone()));
    }
    is_over(&mut client).await;
    proxy.events.ended_as("ConnectFailed").await;
    let story = story(&proxy, &[&a]);
    assert_eq!(story.iter().filter(|step| *step == "dialing a").count(), 11);
    assert_eq!(story.last().unwrap(), "more than 10 redirects");
    questions.assert_none();
    proxy.finish().await;
}

#[tokio::test]
async fn the_tenth_redirect_may_succeed() {
    let backend = Backend::start();
    let (_socket, a) = Backend::refusing();
    let (router, mut questions) = asking();
    let proxy = Proxy::with(Config { connect_retries: 0, ..config() }, router);
    let mut client = proxy.client_with("at last").await;
    for _ in 0..10 {
        questions.next().await.answer(Verdict::connect(a.clone()));
    }
    questions.next().await.answer(Verdict::connect(backend.remote.clone()));
    let mut backend_stream = backend.accept().await;
    assert_eq!(read(&mut backend_stream, 7).await, b"at last");
    answer(backend_stream, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    drop(client);
    proxy.finish().await;
}

#[tokio::test]
async fn the_router_is_not_asked_after_a_half_close() {
    let (_socket, a) = Backend::refusing();
    let (router, mut questions) = asking();
    let proxy = Proxy::with(Config { connect_retries: 1_000, ..config() }, router);
    let mut client = proxy.client_with("x").await;
    questions.next().await.answer(route(&a, |route| route.retry_delay = Some(Duration::from_millis(1))));
    proxy.events.retrying(1).await;
    client.shutdown().await.unwrap();
    is_over(&mut client).await;
    proxy.events.ended_as("ClientLeftFirst").await;
    questions.assert_none();
    proxy.finish().await;

    let backend = Backend::start();
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let mut client = proxy.client_with("x").await;
    questions.next().await.answer(Verdict::connect(backend.remote.clone()));
    let mut backend_stream = backend.accept().await;
    client.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut backend_stream).await, b"x");
    drop(backend_stream);
    is_over(&mut client).await;
    proxy.events.ended_as("ClientLeftFirst").await;
    questions.assert_none();
    proxy.finish().await;
}

#[tokio::test]
async fn a_starved_machine_is_reported() {
    let backend = Backend::start();
    let a = backend.remote.clone();
    let proxy = Proxy::with(Config { connect_retries: 0, ..config() }, {
        let a = a.clone();
        // An address for documentation, which no machine has.
        deciding(move |_| route(&a, |route| route.local = Some("192.0.2.1:0".parse().unwrap())))
    });
    let mut client = proxy.client_with("x").await;
    is_over(&mut client).await;
    let why = std::io::Error::from_raw_os_error(99); // EADDRNOTAVAIL
    let starved = format!("starved a: {why}");
    assert_eq!(story(&proxy, &[&a]), ["dialing a", &starved, "a failed 1 times"]);
    proxy.finish().await;
}

#[tokio::test]
async fn a_route_sets_the_local_address() {
    let backend = Backend::start();
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let by_name: Remote = format!("localhost:{}", backend.remote.port()).parse().unwrap();
    for remote in [&backend.remote, &by_name] {
        let mut client = proxy.client_with("x").await;
        let local = Some("127.0.0.2:0".parse().unwrap());
        questions.next().await.answer(route(remote, |route| route.local = local));
        let backend_stream = backend.accept().await;
        assert_eq!(backend_stream.peer_addr().unwrap().ip().to_string(), "127.0.0.2");
        answer(backend_stream, "reply").await;
        assert_eq!(read_to_end(&mut client).await, b"reply");
    }
    proxy.finish().await;
}
