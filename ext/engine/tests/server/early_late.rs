//! The router is asked before a client has sent anything, and when it takes too long to decide.

use std::future::{Future, ready};
use std::time::Duration;

use bytes::Bytes;
use proxymachine_engine::{Answer, Client, Config, End, Outcome, Router, Verdict};
use socket2::SockRef;

use crate::support::*;

/// Soon over.
const LIMIT: Duration = Duration::from_millis(50);

fn words(text: &'static str) -> Option<Bytes> {
    Some(Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn a_client_is_greeted_before_it_speaks_and_answered_while_it_does() {
    let backend = Backend::start();
    let (router, mut questions) = asked_early();
    let proxy = Proxy::start(router);
    let mut client = proxy.client().await;
    let question = questions.next().await;
    assert_eq!((&question.kind, &question.data[..]), (&Kind::Accepted, &b""[..]));
    question.answer(Verdict::Wait(words("220 ready\n")));
    assert_eq!(read(&mut client, 10).await, b"220 ready\n");
    write(&mut client, "EHLO\n").await;
    let question = questions.next().await;
    assert_eq!((&question.kind, &question.data[..]), (&Kind::Data, &b"EHLO\n"[..]));
    question.answer(Verdict::Wait(words("250 go on\n")));
    assert_eq!(read(&mut client, 10).await, b"250 go on\n");
    write(&mut client, "MAIL\n").await;
    let question = questions.next().await;
    assert_eq!(question.data, "EHLO\nMAIL\n");
    question.answer(Verdict::connect(backend.remote.clone()));
    let mut server = backend.accept().await;
    assert_eq!(read(&mut server, 10).await, b"EHLO\nMAIL\n");
    answer(server, "250 sent\n").await;
    assert_eq!(read_to_end(&mut client).await, b"250 sent\n");
    questions.assert_none();
    proxy.finish().await;
}

#[tokio::test]
async fn a_server_that_speaks_first_is_connected_at_once() {
    let backend = Backend::start();
    let (router, mut questions) = asked_early();
    let proxy = Proxy::start(router);
    let mut client = proxy.client().await;
    questions.next().await.answer(Verdict::connect(backend.remote.clone()));
    let mut server = backend.accept().await;
    write(&mut server, "banner").await;
    assert_eq!(read(&mut client, 6).await, b"banner");
    write(&mut client, "login").await;
    assert_eq!(read(&mut server, 5).await, b"login");
    answer(server, " bye").await;
    assert_eq!(read_to_end(&mut client).await, b" bye");
    questions.assert_none();
    proxy.events.ended_as("Relayed").await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_client_is_turned_away_before_it_speaks() {
    let (router, mut questions) = asked_early();
    let proxy = Proxy::start(router);
    let mut client = proxy.client().await;
    questions.next().await.answer(Verdict::Close(words("go away")));
    assert_eq!(read_to_end(&mut client).await, b"go away");
    questions.assert_none();
    proxy.events.ended_as("Refused").await;
    proxy.finish().await;
}

#[tokio::test]
async fn what_comes_while_the_router_thinks_is_asked_about_afterwards() {
    let (router, mut questions) = asked_early();
    let proxy = Proxy::start(router);
    let mut client = proxy.client_with("impatient").await;
    let question = questions.next().await;
    assert_eq!((&question.kind, &question.data[..]), (&Kind::Accepted, &b""[..]));
    question.answer(Verdict::Wait(None));
    let question = questions.next().await;
    assert_eq!((&question.kind, &question.data[..]), (&Kind::Data, &b"impatient"[..]));
    question.answer(Verdict::Close(None));
    is_over(&mut client).await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_drain_does_not_wait_for_the_early_answer_for_ever() {
    let (router, mut questions) = asked_early();
    let mut proxy = Proxy::with(Config { undecided_drain: Duration::ZERO, ..config() }, router);
    let mut client = proxy.client().await;
    let question = questions.next().await;
    proxy.shutdown.drain(None);
    question.abandoned().await;
    is_over(&mut client).await;
    proxy.events.ended_as("Undecided").await;
    assert_eq!(proxy.join().await, Outcome::Drained);
    proxy.check_accounts();
}

#[tokio::test]
async fn a_client_that_was_greeted_and_is_silent_leaves_with_the_beginning_of_a_drain() {
    let (router, mut questions) = asked_early();
    let mut proxy = Proxy::with(Config { undecided_drain: NEVER, ..config() }, router);
    let mut client = proxy.client().await;
    questions.next().await.answer(Verdict::Wait(words("hello")));
    assert_eq!(read(&mut client, 5).await, b"hello");
    proxy.shutdown.drain(None);
    is_over(&mut client).await;
    proxy.events.ended_as("Undecided").await;
    assert_eq!(proxy.join().await, Outcome::Drained);
    proxy.check_accounts();
}

#[tokio::test]
async fn a_client_that_is_reset_is_not_answered_for_any_more() {
    let (router, mut questions) = asked_early();
    let proxy = Proxy::start(router);
    let client = proxy.client().await;
    let question = questions.next().await;
    reset(client);
    question.abandoned().await;
    proxy.events.ended_as("ClientLeft").await;
    proxy.finish().await;
}

/// Never decides by itself.
fn waiting() -> impl Router {
    deciding(|_| Verdict::Wait(None))
}

#[tokio::test]
async fn a_silent_client_has_so_long_to_say_where_it_goes() {
    let proxy = Proxy::with(Config { decision_timeout: Some(LIMIT), ..config() }, waiting());
    let mut client = proxy.client().await;
    is_over(&mut client).await;
    let end = proxy.events.end().await;
    assert!(matches!(*end, End::DecisionTimeout { limit: LIMIT }), "{end:?}");
    proxy.finish().await;
}

#[tokio::test]
async fn bytes_in_drops_give_no_more_time() {
    let proxy = Proxy::with(Config { decision_timeout: Some(LIMIT), ..config() }, waiting());
    let client = proxy.client().await;
    SockRef::from(&client).set_tcp_nodelay(true).unwrap();
    let drip = async {
        loop {
            client.writable().await.unwrap();
            if client.try_write(b".").is_err() {
                return;
            }
            tokio::time::sleep(LIMIT / 10).await;
        }
    };
    within("the client to be closed", drip).await;
    proxy.events.ended_as("DecisionTimeout").await;
    proxy.finish().await;
}

#[tokio::test]
async fn an_overdue_client_gets_last_words() {
    let (router, mut questions) = asked_late();
    let proxy = Proxy::with(Config { decision_timeout: Some(LIMIT), ..config() }, router);
    let mut client = proxy.client().await;
    let question = questions.next().await;
    assert_eq!((&question.kind, &question.data[..]), (&Kind::TimedOut, &b""[..]));
    question.answer(Verdict::Close(words("too slow")));
    assert_eq!(read_to_end(&mut client).await, b"too slow");
    proxy.events.ended_as("Refused").await;
    questions.assert_none();
    proxy.finish().await;
}

#[tokio::test]
async fn the_answer_of_a_router_that_thinks_too_long_is_not_waited_for() {
    let backend = Backend::start();
    let (router, mut questions) = asked_late();
    let proxy = Proxy::with(Config { decision_timeout: Some(LIMIT), ..config() }, router);
    let mut client = proxy.client_with("half").await;
    let mut overdue = questions.next().await;
    if overdue.kind == Kind::Data {
        // As it is, unless the machine took longer than the limit to get here.
        let thinking = overdue;
        overdue = questions.next().await;
        thinking.abandoned().await;
    }
    assert_eq!(overdue.kind, Kind::TimedOut);
    overdue.answer(Verdict::connect(backend.remote.clone()));
    let mut server = backend.accept().await;
    assert_eq!(read(&mut server, 4).await, b"half");
    answer(server, "whole").await;
    assert_eq!(read_to_end(&mut client).await, b"whole");
    questions.assert_none();
    proxy.finish().await;
}

#[tokio::test]
async fn to_wait_again_means_to_wait_as_long_again() {
    let (router, mut questions) = asked_late();
    let proxy = Proxy::with(Config { decision_timeout: Some(LIMIT), ..config() }, router);
    let mut client = proxy.client().await;
    for _ in 0..3 {
        let question = questions.next().await;
        assert_eq!(question.kind, Kind::TimedOut);
        let answered = std::time::Instant::now();
        question.answer(Verdict::Wait(words("well?")));
        assert_eq!(read(&mut client, 5).await, b"well?");
        let next = questions.next().await;
        assert!(answered.elapsed() >= LIMIT, "asked again after {:?}", answered.elapsed());
        next.answer(Verdict::Wait(None));
    }
    drop(client);
    proxy.events.ended_as("ClientLeft").await;
    proxy.finish().await;
}

/// Decides by the last byte, and asks the client for more when the time is over.
struct Patient(proxymachine_engine::Remote);

impl Router for Patient {
    fn route(&self, _: &Client, data: Bytes) -> impl Future<Output = Answer> + Send {
        let verdict =
            if data.ends_with(b".") { Verdict::connect(self.0.clone()) } else { Verdict::Wait(None) };
        ready(verdict.into())
    }

    fn timed_out(&self, _: &Client, _: Bytes) -> Option<impl Future<Output = Answer> + Send> {
        Some(ready(Verdict::Wait(words("?")).into()))
    }
}

#[tokio::test]
async fn a_client_that_was_waited_for_again_is_asked_about_with_all_that_it_sent() {
    let backend = Backend::start();
    let limits = Config { decision_timeout: Some(LIMIT), ..config() };
    let proxy = Proxy::with(limits, Patient(backend.remote.clone()));
    let mut client = proxy.client_with("one ").await;
    assert_eq!(read(&mut client, 2).await, b"??");
    write(&mut client, "two ").await;
    assert_eq!(read(&mut client, 2).await, b"??");
    write(&mut client, "three.").await;
    let mut server = backend.accept().await;
    assert_eq!(read(&mut server, 14).await, b"one two three.");
    answer(server, "reply").await;
    let replied = read_to_end(&mut client).await;
    assert!(replied.ends_with(b"reply") && replied[..replied.len() - 5].iter().all(|byte| *byte == b'?'));
    proxy.finish().await;
}

#[tokio::test]
async fn a_drain_ends_the_waiting_again() {
    let backend = Backend::start();
    for sent in ["", "half"] {
        let limits = Config { decision_timeout: Some(LIMIT), undecided_drain: LIMIT, ..config() };
        let mut proxy = Proxy::with(limits, Patient(backend.remote.clone()));
        let mut client = proxy.client_with(sent).await;
        assert_eq!(read(&mut client, 1).await, b"?");
        proxy.shutdown.drain(None);
        assert_eq!(proxy.join().await, Outcome::Drained);
        proxy.events.ended_as("Undecided").await;
        proxy.check_accounts();
    }
}

#[tokio::test]
async fn a_decided_connection_has_all_the_time() {
    let backend = Backend::start();
    // Long enough for the decision on a busy machine.
    let limit = Duration::from_secs(1);
    let (router, mut questions) = asked_late();
    let proxy = Proxy::with(Config { decision_timeout: Some(limit), ..config() }, router);
    let mut client = proxy.client_with("x").await;
    questions.next().await.answer(Verdict::connect(backend.remote.clone()));
    let mut server = backend.accept().await;
    tokio::time::sleep(limit + LIMIT).await;
    assert_eq!(read(&mut server, 1).await, b"x");
    answer(server, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    questions.assert_none();
    proxy.finish().await;
}
