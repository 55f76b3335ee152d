//! PROXY headers: those of trusted proxies, and those for backends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proxymachine_engine::listener::Options;
use proxymachine_engine::proxy_protocol::{HeaderError, Version, header};
use proxymachine_engine::{Config, DrainOutcome, End, Listener, Networks, Router, Verdict};
use tokio::net::TcpStream;

use crate::support::*;

/// The client's address in the header.
const CLIENT: &str = "192.0.2.7:4711";

fn address(text: &str) -> Option<SocketAddr> {
    Some(text.parse().unwrap())
}

fn proxy_header(version: Version) -> Vec<u8> {
    header(version, address(CLIENT), address("198.51.100.1:443")).to_vec()
}

/// Starts a proxy that trusts these networks.
fn behind(trusted_proxies: &[&str], config: Config, router: impl Router) -> Proxy {
    let trusted_proxies = Networks::parse(trusted_proxies.iter().copied()).unwrap();
    let options = Options { trusted_proxies: Some(trusted_proxies), ..Options::default() };
    let listeners = Listener::bind("127.0.0.1:0", &options).unwrap();
    Proxy::listening(listeners, config, router, Recorder::default(), Arc::default())
}

fn trusting(router: impl Router) -> Proxy {
    behind(&["127.0.0.0/8"], config(), router)
}

/// Ends an engine whose clients change their addresses by a header.
async fn finish(mut proxy: Proxy) {
    proxy.shutdown.drain(None);
    assert_eq!(proxy.join().await, DrainOutcome::Drained);
    assert_eq!(proxy.stats.current(), 0);
}

/// Expects the first question to be about this client and these bytes, and the backend to get those bytes only.
async fn is_asked(proxy: Proxy, mut questions: Questions, mut client: TcpStream, name: &str, data: &str) {
    let backend = Backend::start();
    let question = questions.next().await;
    assert_eq!((&question.client[..], &question.data[..]), (name, data.as_bytes()));
    question.answer(Verdict::connect(backend.remote.clone()));
    let mut backend_stream = backend.accept().await;
    assert_eq!(read(&mut backend_stream, data.len()).await, data.as_bytes());
    answer(backend_stream, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    questions.assert_none();
    drop(client);
    finish(proxy).await;
}

#[tokio::test]
async fn a_header_and_data_may_come_in_one_packet() {
    for version in [Version::One, Version::Two] {
        let (router, questions) = asking();
        let proxy = trusting(router);
        let mut sent = proxy_header(version);
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
        for byte in proxy_header(version) {
            write(&mut client, [byte]).await;
            tokio::task::yield_now().await;
        }
        write(&mut client, "h").await;
        is_asked(proxy, questions, client, CLIENT, "h").await;
    }
}

#[tokio::test]
async fn a_local_header_leaves_the_proxys_own_address() {
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
async fn the_accept_verdict_sees_the_headers_address() {
    let (router, mut questions) = asked_early();
    let proxy = trusting(router);
    let mut client = proxy.client().await;
    let mut sent = proxy_header(Version::Two);
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
async fn a_client_that_sends_only_a_header_is_closed_by_a_drain() {
    let (router, mut questions) = asking();
    let config = Config { undecided_drain: NEVER, ..config() };
    let mut proxy = behind(&["127.0.0.1"], config, router);
    let mut client = proxy.client_with(proxy_header(Version::One)).await;
    proxy.events.accepted(1).await;
    proxy.shutdown.drain(None);
    is_over(&mut client).await;
    proxy.events.ended_as("Undecided").await;
    questions.assert_none();
    assert_eq!(proxy.join().await, DrainOutcome::Drained);
}

#[tokio::test]
async fn a_trusted_proxy_without_a_header_is_closed() {
    let (router, mut questions) = asking();
    let proxy = trusting(router);
    let mut client = proxy.client_with("GET / HTTP/1.1\r\n\r\n").await;
    is_over(&mut client).await;
    let end = proxy.events.end().await;
    assert!(matches!(*end, End::BadHeader { reason: HeaderError::Missing }), "{end:?}");
    questions.assert_none();
    proxy.finish().await;
}

#[tokio::test]
async fn an_untrusted_client_is_served_only_without_a_header() {
    let (router, mut questions) = asking();
    let proxy = behind(&["192.0.2.0/24"], config(), router);
    let mut liar = proxy.client_with(proxy_header(Version::One)).await;
    is_over(&mut liar).await;
    let end = proxy.events.end().await;
    assert!(matches!(*end, End::BadHeader { reason: HeaderError::Untrusted }), "{end:?}");
    questions.assert_none();
    // The bytes begin like a header.
    let mut client = proxy.client_with("PRO").await;
    proxy.events.accepted(2).await;
    questions.assert_none();
    write(&mut client, "FIND /").await;
    let name = client.local_addr().unwrap().to_string();
    is_asked(proxy, questions, client, &name, "PROFIND /").await;
}

#[tokio::test]
async fn an_incomplete_header_at_the_timeout_is_not_asked_about() {
    let limit = Duration::from_millis(50);
    for sent in [b"".to_vec(), proxy_header(Version::One)[..20].to_vec()] {
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
async fn a_backend_receives_the_header_first() {
    let backend = Backend::start();
    for version in [Version::One, Version::Two] {
        let (router, mut questions) = asking();
        let proxy = Proxy::start(router);
        let mut client = proxy.client_with("hello").await;
        questions.next().await.answer(route(&backend.remote, |r| r.proxy_protocol = Some(version)));
        let mut expected = header(version, client.local_addr().ok(), Some(proxy.addresses[0])).to_vec();
        expected.extend(b"hello");
        let mut backend_stream = backend.accept().await;
        assert_eq!(read(&mut backend_stream, expected.len()).await, expected);
        answer(backend_stream, "reply").await;
        assert_eq!(read_to_end(&mut client).await, b"reply");
        drop(client);
        proxy.finish().await;
    }
}

#[tokio::test]
async fn a_received_header_is_passed_on() {
    let backend = Backend::start();
    let (router, mut questions) = asked_early();
    let proxy = trusting(router);
    let mut client = proxy.client_with(proxy_header(Version::Two)).await;
    questions.next().await.answer(route(&backend.remote, |r| r.proxy_protocol = Some(Version::One)));
    let mut backend_stream = backend.accept().await;
    let expected = proxy_header(Version::One);
    assert_eq!(read(&mut backend_stream, expected.len()).await, expected);
    answer(backend_stream, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    drop(client);
    finish(proxy).await;
}

#[tokio::test]
async fn bytes_that_came_with_the_proxy_header_are_asked_about_after_a_slow_accept() {
    let backend = Backend::start();
    let (router, mut questions) = asked_early_and_late();
    let limits = Config { decision_timeout: Some(Duration::from_millis(300)), ..config() };
    let proxy = behind(&["127.0.0.1"], limits, router);
    let mut client = proxy.client_with("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nwhole").await;
    let accepted = questions.next().await;
    assert_eq!(accepted.kind, Kind::Accepted);
    let overdue = questions.next().await;
    assert_eq!((&overdue.kind, &overdue.data[..]), (&Kind::TimedOut, &b"whole"[..]));
    accepted.answer(Verdict::Wait(None));
    overdue.answer(Verdict::Wait(None));
    let asked = loop {
        let question = questions.next().await;
        match question.kind {
            Kind::Data => break question,
            _ => question.answer(Verdict::Wait(None)),
        }
    };
    assert_eq!(&asked.data[..], b"whole");
    asked.answer(Verdict::connect(backend.remote.clone()));
    let mut backend_stream = backend.accept().await;
    assert_eq!(read(&mut backend_stream, 5).await, b"whole");
    answer(backend_stream, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    drop(client);
    finish(proxy).await;
}
