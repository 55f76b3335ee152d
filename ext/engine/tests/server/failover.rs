//! Another backend when one cannot be reached: the route's others, and those that the router names then.

use std::time::Duration;

use bytes::Bytes;
use proxymachine_engine::proxy_protocol::Version;
use proxymachine_engine::{Config, End, Failure, Remote, Verdict};
use tokio::io::AsyncWriteExt;

use crate::support::*;

/// What happened on the way to a backend, in short; the remotes are called a, b, c.
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
async fn the_next_one_is_tried_at_once_and_gets_everything() {
    let backend = Backend::start();
    let (_socket, refusing) = Backend::refusing();
    let (_sockets, silent) = Backend::black_hole().await;
    let (router, mut questions) = asking();
    // A retry would take for ever.
    let proxy = Proxy::with(Config { retry_delay: NEVER, ..config() }, router);
    for failing in [refusing, silent, nowhere(), "unix:/no/such/file".parse().unwrap()] {
        let before = proxy.events.all().len();
        let mut client = proxy.client_with("one ").await;
        questions.next().await.answer(Verdict::Wait(None));
        write(&mut client, "two").await;
        questions.next().await.answer(route(&failing, |route| {
            route.connect_timeout = Duration::from_millis(500);
            route.others = vec![backend.remote.clone()];
        }));
        let mut server = backend.accept().await;
        assert_eq!(read(&mut server, 7).await, b"one two");
        write(&mut client, " three").await;
        client.shutdown().await.unwrap();
        assert_eq!(read_to_end(&mut server).await, b" three");
        answer(server, "reply").await;
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
async fn it_goes_round_as_often_and_as_slowly_as_the_route_says() {
    let ((_one, a), (_two, b)) = (Backend::refusing(), Backend::refusing());
    // The route's own numbers count: these would take for ever.
    let proxy = Proxy::with(Config { retry_delay: NEVER, connect_retries: 7, ..config() }, {
        let (a, b) = (a.clone(), b.clone());
        deciding(move |_| {
            route(&a, |route| {
                route.others = vec![b.clone()];
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
async fn the_one_that_answers_is_the_one_that_is_blamed() {
    let ((_one, a), (_two, b), backend) = (Backend::refusing(), Backend::refusing(), Backend::start());
    let c = backend.remote.clone();
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let mut client = proxy.client_with("x").await;
    questions.next().await.answer(route(&a, |route| route.others = vec![b.clone(), c.clone()]));
    let mut server = backend.accept().await;
    assert_eq!(read(&mut server, 1).await, b"x");
    drop(server);
    let question = questions.next().await;
    assert_eq!(question.kind, Kind::Failed(Failure::Premature, c.to_string()));
    question.answer(Verdict::Close(Some("sorry".into())));
    assert_eq!(read_to_end(&mut client).await, b"sorry");
    let end = proxy.events.end().await;
    assert!(matches!(&*end, End::ClosedPrematurely { remote } if *remote == c), "{end:?}");
    assert_eq!(story(&proxy, &[&a, &b, &c]), ["dialing a", "dialing b", "dialing c", "connected c"]);
    proxy.finish().await;
}

#[tokio::test]
async fn a_silent_one_is_told_of_and_there_may_be_last_words() {
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

/// Every way to replay: what the client sent, what the route says instead, behind a header or not.
#[tokio::test]
async fn the_router_names_another_and_that_gets_everything() {
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
                let mut server = backend.accept().await;
                client.shutdown().await.unwrap();
                assert_eq!(String::from_utf8(read_to_end(&mut server).await).unwrap(), expected);
                answer(server, "reply").await;
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
async fn the_router_has_last_words_when_nothing_can_be_reached() {
    let (_socket, a) = Backend::refusing();
    for words in [None, Some(Bytes::from("come back later"))] {
        let (router, mut questions) = asking();
        let proxy = Proxy::start(router);
        let mut client = proxy.client_with("x").await;
        questions.next().await.answer(route(&a, |route| route.reply = Some("one moment, ".into())));
        questions.next().await.answer(Verdict::Close(words.clone()));
        let mut expected = b"one moment, ".to_vec();
        expected.extend(words.unwrap_or_default());
        assert_eq!(read_to_end(&mut client).await, expected);
        proxy.events.ended_as("ConnectFailed").await;
        proxy.finish().await;
    }
}

#[tokio::test]
async fn there_is_no_waiting_after_a_failure() {
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
async fn ten_times_the_router_may_name_another() {
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
async fn the_last_one_that_it_may_name_can_still_be_the_right_one() {
    let backend = Backend::start();
    let (_socket, a) = Backend::refusing();
    let (router, mut questions) = asking();
    let proxy = Proxy::with(Config { connect_retries: 0, ..config() }, router);
    let mut client = proxy.client_with("at last").await;
    for _ in 0..10 {
        questions.next().await.answer(Verdict::connect(a.clone()));
    }
    questions.next().await.answer(Verdict::connect(backend.remote.clone()));
    let mut server = backend.accept().await;
    assert_eq!(read(&mut server, 7).await, b"at last");
    answer(server, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    proxy.finish().await;
}

#[tokio::test]
async fn nobody_is_asked_about_a_client_that_has_ended_its_side() {
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
    let mut server = backend.accept().await;
    client.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut server).await, b"x");
    drop(server);
    is_over(&mut client).await;
    proxy.events.ended_as("ClientLeftFirst").await;
    questions.assert_none();
    proxy.finish().await;
}

#[tokio::test]
async fn a_machine_that_cannot_connect_at_all_is_told_of() {
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
async fn a_route_says_from_where_it_is_connected() {
    let backend = Backend::start();
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let by_name: Remote = format!("localhost:{}", backend.remote.port()).parse().unwrap();
    for remote in [&backend.remote, &by_name] {
        let mut client = proxy.client_with("x").await;
        let local = Some("127.0.0.2:0".parse().unwrap());
        questions.next().await.answer(route(remote, |route| route.local = local));
        let server = backend.accept().await;
        assert_eq!(server.peer_addr().unwrap().ip().to_string(), "127.0.0.2");
        answer(server, "reply").await;
        assert_eq!(read_to_end(&mut client).await, b"reply");
    }
    proxy.finish().await;
}
