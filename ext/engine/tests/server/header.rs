//! PROXY headers: those of load balancers before the client's bytes, and those for the backends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proxymachine_engine::listener::Options;
use proxymachine_engine::proxy_protocol::{Refusal, Version, header};
use proxymachine_engine::{Config, End, Listener, Networks, Outcome, Router, Verdict};
use tokio::net::TcpStream;

use crate::support::*;

/// Where the header says that its client is.
const CLIENT: &str = "192.0.2.7:4711";

fn address(text: &str) -> Option<SocketAddr> {
    Some(text.parse().unwrap())
}

fn introduction(version: Version) -> Vec<u8> {
    header(version, address(CLIENT), address("198.51.100.1:443")).to_vec()
}

/// A proxy that expects headers of these networks.
fn behind(balancers: &[&str], config: Config, router: impl Router) -> Proxy {
    let balancers = Networks::parse(balancers.iter().copied()).unwrap();
    let options = Options { balancers: Some(balancers), ..Options::default() };
    let listeners = Listener::bind("127.0.0.1:0", &options).unwrap();
    Proxy::listening(listeners, config, router, Recorder::default(), Arc::default())
}

fn trusting(router: impl Router) -> Proxy {
    behind(&["127.0.0.0/8"], config(), router)
}

/// Ends an engine whose clients have other names when they end than when they came.
async fn finish(mut proxy: Proxy) {
    proxy.shutdown.drain(None);
    assert_eq!(proxy.join().await, Outcome::Drained);
    assert_eq!(proxy.stats.current(), 0);
}

/// The first question is about this client and these bytes, and its backend gets those only.
async fn is_asked(proxy: Proxy, mut questions: Questions, mut client: TcpStream, name: &str, data: &str) {
    let backend = Backend::start();
    let question = questions.next().await;
    assert_eq!((&question.client[..], &question.data[..]), (name, data.as_bytes()));
    question.answer(Verdict::connect(backend.remote.clone()));
    let mut server = backend.accept().await;
    assert_eq!(read(&mut server, data.len()).await, data.as_bytes());
    answer(server, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    questions.assert_none();
    finish(proxy).await;
}

#[tokio::test]
async fn a_header_and_data_in_one_piece_are_told_apart() {
    for version in [Version::One, Version::Two] {
        let (router, questions) = asking();
        let proxy = trusting(router);
        let mut sent = introduction(version);
        sent.extend(b"hello");
        let client = proxy.client_with(sent).await;
        is_asked(proxy, questions, client, CLIENT, "hello").await;
    }
}

#[tokio::test]
async fn a_header_may_come_byte_by_byte() {
    for version in [Version::One, Version::Two] {
        let (router, questions) = asking();
        let proxy = trusting(router);
        let mut client = proxy.client().await;
        client.set_nodelay(true).unwrap();
        for byte in introduction(version) {
            write(&mut client, [byte]).await;
            tokio::task::yield_now().await;
        }
        write(&mut client, "h").await;
        is_asked(proxy, questions, client, CLIENT, "h").await;
    }
}

#[tokio::test]
async fn a_balancer_that_speaks_for_itself_has_its_own_address() {
    for version in [Version::One, Version::Two] {
        let (router, questions) = asking();
        let proxy = trusting(router);
        let mut sent = header(version, None, None).to_vec();
        sent.extend(b"check");
        let client = proxy.client_with(sent).await;
        let name = client.local_addr().unwrap().to_string();
        is_asked(proxy, questions, client, &name, "check").await;
    }
}

#[tokio::test]
async fn the_router_that_is_asked_early_knows_the_client_by_its_header() {
    let (router, mut questions) = asked_early();
    let proxy = trusting(router);
    let mut client = proxy.client().await;
    let mut sent = introduction(Version::Two);
    let last = sent.pop().unwrap();
    write(&mut client, sent).await;
    proxy.events.accepted(1).await;
    questions.assert_none();
    write(&mut client, [last]).await;
    let question = questions.next().await;
    assert_eq!((&question.kind, &question.client[..]), (&Kind::Accepted, CLIENT));
    question.answer(Verdict::Close(Some("hello".into())));
    assert_eq!(read_to_end(&mut client).await, b"hello");
    finish(proxy).await;
}

#[tokio::test]
async fn nobody_is_asked_about_a_client_that_is_silent_after_its_header_and_a_drain_ends_it() {
    let (router, mut questions) = asking();
    let config = Config { undecided_drain: NEVER, ..config() };
    let mut proxy = behind(&["127.0.0.1"], config, router);
    let mut client = proxy.client_with(introduction(Version::One)).await;
    proxy.events.accepted(1).await;
    proxy.shutdown.drain(None);
    is_over(&mut client).await;
    proxy.events.ended_as("Undecided").await;
    questions.assert_none();
    assert_eq!(proxy.join().await, Outcome::Drained);
}

#[tokio::test]
async fn whoever_must_send_a_header_and_sends_none_is_closed() {
    let (router, mut questions) = asking();
    let proxy = trusting(router);
    let mut client = proxy.client_with("GET / HTTP/1.1\r\n\r\n").await;
    is_over(&mut client).await;
    let end = proxy.events.end().await;
    assert!(matches!(*end, End::BadHeader { reason: Refusal::Missing }), "{end:?}");
    questions.assert_none();
    proxy.finish().await;
}

#[tokio::test]
async fn who_is_not_trusted_is_served_without_a_header_and_closed_with_one() {
    let (router, mut questions) = asking();
    let proxy = behind(&["192.0.2.0/24"], config(), router);
    let mut liar = proxy.client_with(introduction(Version::One)).await;
    is_over(&mut liar).await;
    let end = proxy.events.end().await;
    assert!(matches!(*end, End::BadHeader { reason: Refusal::Untrusted }), "{end:?}");
    questions.assert_none();
    // It begins as a header does.
    let mut client = proxy.client_with("PRO").await;
    proxy.events.accepted(2).await;
    questions.assert_none();
    write(&mut client, "FIND /").await;
    let name = client.local_addr().unwrap().to_string();
    is_asked(proxy, questions, client, &name, "PROFIND /").await;
}

#[tokio::test]
async fn a_part_of_a_header_is_nothing_to_ask_about_when_the_time_is_over() {
    let limit = Duration::from_millis(50);
    for sent in [b"".to_vec(), introduction(Version::One)[..20].to_vec()] {
        let (router, mut questions) = asked_late();
        let proxy = behind(&["127.0.0.1"], Config { decision_timeout: Some(limit), ..config() }, router);
        let mut client = proxy.client_with(sent).await;
        is_over(&mut client).await;
        proxy.events.ended_as("DecisionTimeout").await;
        questions.assert_none();
        proxy.finish().await;
    }
}

#[tokio::test]
async fn a_backend_hears_first_who_the_client_is() {
    let backend = Backend::start();
    for version in [Version::One, Version::Two] {
        let (router, mut questions) = asking();
        let proxy = Proxy::start(router);
        let mut client = proxy.client_with("hello").await;
        questions.next().await.answer(route(&backend.remote, |r| r.proxy_protocol = Some(version)));
        let mut expected = header(version, client.local_addr().ok(), Some(proxy.addresses[0])).to_vec();
        expected.extend(b"hello");
        let mut server = backend.accept().await;
        assert_eq!(read(&mut server, expected.len()).await, expected);
        answer(server, "reply").await;
        assert_eq!(read_to_end(&mut client).await, b"reply");
        proxy.finish().await;
    }
}

#[tokio::test]
async fn what_one_header_says_the_next_one_says_too() {
    let backend = Backend::start();
    let (router, mut questions) = asked_early();
    let proxy = trusting(router);
    let mut client = proxy.client_with(introduction(Version::Two)).await;
    questions.next().await.answer(route(&backend.remote, |r| r.proxy_protocol = Some(Version::One)));
    let mut server = backend.accept().await;
    let expected = introduction(Version::One);
    assert_eq!(read(&mut server, expected.len()).await, expected);
    answer(server, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    finish(proxy).await;
}
