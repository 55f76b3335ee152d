//! The verdicts on an accept and on a decision timeout.

use std::future::{Future, ready};
use std::time::Duration;

use bytes::Bytes;
use proxymachine_engine::{Client, Config, DrainOutcome, End, Router, TimedVerdict, Verdict};
use socket2::SockRef;

use crate::support::*;

/// A limit that passes soon.
const LIMIT: Duration = Duration::from_millis(50);

fn message(text: &'static str) -> Option<Bytes> {
    Some(Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn accept_verdict_greets_the_client_and_data_follows() {
    let backend = Backend::start();
    let (router, mut questions) = asked_early();
    let proxy = Proxy::start(router);
    let mut client = proxy.client().await;
    let question = questions.next().await;
    assert_eq!((&question.kind, &question.data[..]), (&Kind::Accepted, &b""[..]));
    question.answer(Verdict::Wait(message("220 ready\n")));
    assert_eq!(read(&mut client, 10).await, b"220 ready\n");
    write(&mut client, "EHLO\n").await;
    let question = questions.next().await;
    assert_eq!((&question.kind, &question.data[..]), (&Kind::Data, &b"EHLO\n"[..]));
    question.answer(Verdict::Wait(message("250 go on\n")));
    assert_eq!(read(&mut client, 10).await, b"250 go on\n");
    write(&mut client, "MAIL\n").await;
    let question = questions.next().await;
    assert_eq!(question.data, "EHLO\nMAIL\n");
    question.answer(Verdict::connect(backend.remote.clone()));
    let mut backend_stream = backend.accept().await;
    assert_eq!(read(&mut backend_stream, 10).await, b"EHLO\nMAIL\n");
    answer(backend_stream, "250 sent\n").await;
    assert_eq!(read_to_end(&mut client).await, b"250 sent\n");
    questions.assert_none();
    drop(client);
    proxy.finish().await;
}

#[tokio::test]
async fn accept_verdict_connects_a_server_that_speaks_first() {
    let backend = Backend::start();
    let (router, mut questions) = asked_early();
    let proxy = Proxy::start(router);
    let mut client = proxy.client().await;
    questions.next().await.answer(Verdict::connect(backend.remote.clone()));
    let mut backend_stream = backend.accept().await;
    write(&mut backend_stream, "banner").await;
    assert_eq!(read(&mut client, 6).await, b"banner");
    write(&mut client, "login").await;
    assert_eq!(read(&mut backend_stream, 5).await, b"login");
    answer(backend_stream, " bye").await;
    assert_eq!(read_to_end(&mut client).await, b" bye");
    questions.assert_none();
    drop(client);
    proxy.events.ended_as("Relayed").await;
    proxy.finish().await;
}

#[tokio::test]
async fn accept_verdict_closes_a_client_before_its_first_byte() {
    let (router, mut questions) = asked_early();
    let proxy = Proxy::start(router);
    let mut client = proxy.client().await;
    questions.next().await.answer(Verdict::Close(message("go away")));
    assert_eq!(read_to_end(&mut client).await, b"go away");
    questions.assert_none();
    proxy.events.ended_as("ClosedByRouter").await;
    proxy.finish().await;
}

#[tokio::test]
async fn bytes_that_arrive_during_the_accept_verdict_are_asked_about_afterwards() {
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
async fn a_drain_limits_the_wait_for_the_accept_verdict() {
    let (router, mut questions) = asked_early();
    let mut proxy = Proxy::with(Config { undecided_drain: Duration::ZERO, ..config() }, router);
    let mut client = proxy.client().await;
    let question = questions.next().await;
    proxy.shutdown.drain(None);
    question.abandoned().await;
    is_over(&mut client).await;
    proxy.events.ended_as("Undecided").await;
    assert_eq!(proxy.join().await, DrainOutcome::Drained);
    proxy.check_records();
}

#[tokio::test]
async fn a_greeted_silent_client_is_closed_when_a_drain_begins() {
    let (router, mut questions) = asked_early();
    let mut proxy = Proxy::with(Config { undecided_drain: NEVER, ..config() }, router);
    let mut client = proxy.client().await;
    questions.next().await.answer(Verdict::Wait(message("hello")));
    assert_eq!(read(&mut client, 5).await, b"hello");
    proxy.shutdown.drain(None);
    is_over(&mut client).await;
    proxy.events.ended_as("Undecided").await;
    assert_eq!(proxy.join().await, DrainOutcome::Drained);
    proxy.check_records();
}

#[tokio::test]
async fn a_reset_abandons_the_accept_verdict() {
    let (router, mut questions) = asked_early();
    let proxy = Proxy::start(router);
    let client = proxy.client().await;
    let question = questions.next().await;
    reset(client);
    question.abandoned().await;
    proxy.events.ended_as("ClientLeft").await;
    proxy.finish().await;
}

/// A router that does not decide in the test's time.
fn waiting() -> impl Router {
    deciding(|_| Verdict::Wait(None))
}

#[tokio::test]
async fn decision_timeout_closes_a_silent_client() {
    let proxy = Proxy::with(Config { decision_timeout: Some(LIMIT), ..config() }, waiting());
    let mut client = proxy.client().await;
    is_over(&mut client).await;
    let end = proxy.events.end().await;
    assert!(matches!(*end, End::DecisionTimeout { limit: LIMIT, .. }), "{end:?}");
    proxy.finish().await;
}

#[tokio::test]
async fn decision_timeout_is_not_extended_by_single_bytes() {
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
async fn timeout_verdict_sends_a_last_message() {
    let (router, mut questions) = asked_late();
    let proxy = Proxy::with(Config { decision_timeout: Some(LIMIT), ..config() }, router);
    let mut client = proxy.client().await;
    let question = questions.next().await;
    assert_eq!((&question.kind, &question.data[..]), (&Kind::TimedOut, &b""[..]));
    question.answer(Verdict::Close(message("too slow")));
    assert_eq!(read_to_end(&mut client).await, b"too slow");
    proxy.events.ended_as("ClosedByRouter").await;
    questions.assert_none();
    proxy.finish().await;
}

#[tokio::test]
async fn decision_timeout_abandons_a_pending_verdict() {
    let backend = Backend::start();
    let (router, mut questions) = asked_late();
    let proxy = Proxy::with(Config { decision_timeout: Some(LIMIT), ..config() }, router);
    let mut client = proxy.client_with("half").await;
    let (thinking, overdue) = overdue_question(&mut questions).await;
    overdue.answer(Verdict::connect(backend.remote.clone()));
    if let Some(thinking) = thinking {
        thinking.abandoned().await;
    }
    let mut backend_stream = backend.accept().await;
    assert_eq!(read(&mut backend_stream, 4).await, b"half");
    answer(backend_stream, "whole").await;
    assert_eq!(read_to_end(&mut client).await, b"whole");
    questions.assert_none();
    drop(client);
    proxy.finish().await;
}

/// Returns the question about data that outlasts the limit, and the question at the timeout. The first is missing if
/// the machine was slower than the limit.
async fn overdue_question(questions: &mut Questions) -> (Option<Question>, Question) {
    let first = questions.next().await;
    let (thinking, overdue) = match first.kind {
        Kind::Data => (Some(first), questions.next().await),
        _ => (None, first),
    };
    assert_eq!(overdue.kind, Kind::TimedOut);
    (thinking, overdue)
}

#[tokio::test]
async fn a_question_pending_over_the_timeout_is_not_asked_again() {
    let backend = Backend::start();
    let (router, mut questions) = asked_late();
    let proxy = Proxy::with(Config { decision_timeout: Some(LIMIT), ..config() }, router);
    let mut client = proxy.client_with("whole").await;
    let (Some(thinking), overdue) = overdue_question(&mut questions).await else { return };
    overdue.answer(Verdict::Wait(message("well?")));
    assert_eq!(read(&mut client, 5).await, b"well?");
    let overdue = questions.next().await;
    assert_eq!(overdue.kind, Kind::TimedOut);
    overdue.answer(Verdict::Wait(None));
    thinking.answer(Verdict::connect(backend.remote.clone()));
    let mut backend_stream = backend.accept().await;
    assert_eq!(read(&mut backend_stream, 5).await, b"whole");
    answer(backend_stream, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
}

#[tokio::test]
async fn a_refusal_on_accept_counts_after_the_timeout() {
    let (router, mut questions) = asked_early_and_late();
    let proxy = Proxy::with(Config { decision_timeout: Some(LIMIT), ..config() }, router);
    let mut client = proxy.client_with("whole").await;
    let refusal = questions.next().await;
    assert_eq!(refusal.kind, Kind::Accepted);
    let overdue = questions.next().await;
    assert_eq!(overdue.kind, Kind::TimedOut);
    overdue.answer(Verdict::Wait(message("well?")));
    assert_eq!(read(&mut client, 5).await, b"well?");
    refusal.answer(Verdict::Close(message("no")));
    assert_eq!(read_to_end(&mut client).await, b"no");
    proxy.events.ended_as("ClosedByRouter").await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_decision_that_comes_before_the_answer_to_the_timeout_counts() {
    let backend = Backend::start();
    let (router, mut questions) = asked_late();
    let proxy = Proxy::with(Config { decision_timeout: Some(LIMIT), ..config() }, router);
    let mut client = proxy.client_with("whole").await;
    let (Some(thinking), overdue) = overdue_question(&mut questions).await else { return };
    thinking.answer(Verdict::connect(backend.remote.clone()));
    overdue.abandoned().await;
    let mut backend_stream = backend.accept().await;
    assert_eq!(read(&mut backend_stream, 5).await, b"whole");
    answer(backend_stream, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    drop(client);
    proxy.finish().await;
}

#[tokio::test]
async fn timeout_verdict_to_wait_grants_the_same_time_again() {
    let (router, mut questions) = asked_late();
    let proxy = Proxy::with(Config { decision_timeout: Some(LIMIT), ..config() }, router);
    let mut client = proxy.client().await;
    for _ in 0..3 {
        let question = questions.next().await;
        assert_eq!(question.kind, Kind::TimedOut);
        let answered = std::time::Instant::now();
        question.answer(Verdict::Wait(message("well?")));
        assert_eq!(read(&mut client, 5).await, b"well?");
        let next = questions.next().await;
        assert!(answered.elapsed() >= LIMIT, "asked again after {:?}", answered.elapsed());
        next.answer(Verdict::Wait(None));
    }
    drop(client);
    proxy.events.ended_as("ClientLeft").await;
    proxy.finish().await;
}

/// A router that decides by the last byte and waits again at a timeout.
struct Patient(proxymachine_engine::Remote);

impl Router for Patient {
    fn route(&self, _: &Client, data: Bytes) -> impl Future<Output = TimedVerdict> + Send {
        let verdict =
            if data.ends_with(b".") { Verdict::connect(self.0.clone()) } else { Verdict::Wait(None) };
        ready(verdict.into())
    }

    fn timed_out(&self, _: &Client, _: Bytes) -> Option<impl Future<Output = TimedVerdict> + Send> {
        Some(ready(Verdict::Wait(message("?")).into()))
    }
}

#[tokio::test]
async fn data_after_a_granted_wait_is_asked_about_in_full() {
    let backend = Backend::start();
    let limits = Config { decision_timeout: Some(LIMIT), ..config() };
    let proxy = Proxy::with(limits, Patient(backend.remote.clone()));
    let mut client = proxy.client_with("one ").await;
    assert_eq!(read(&mut client, 2).await, b"??");
    write(&mut client, "two ").await;
    assert_eq!(read(&mut client, 2).await, b"??");
    write(&mut client, "three.").await;
    let mut backend_stream = backend.accept().await;
    assert_eq!(read(&mut backend_stream, 14).await, b"one two three.");
    answer(backend_stream, "reply").await;
    let replied = read_to_end(&mut client).await;
    assert!(replied.ends_with(b"reply") && replied[..replied.len() - 5].iter().all(|byte| *byte == b'?'));
    drop(client);
    proxy.finish().await;
}

#[tokio::test]
async fn a_drain_ends_a_granted_wait() {
    let backend = Backend::start();
    for sent in ["", "half"] {
        let limits = Config { decision_timeout: Some(LIMIT), undecided_drain: LIMIT, ..config() };
        let mut proxy = Proxy::with(limits, Patient(backend.remote.clone()));
        let mut client = proxy.client_with(sent).await;
        assert_eq!(read(&mut client, 1).await, b"?");
        proxy.shutdown.drain(None);
        assert_eq!(proxy.join().await, DrainOutcome::Drained);
        proxy.events.ended_as("Undecided").await;
        proxy.check_records();
    }
}

#[tokio::test]
async fn decision_timeout_does_not_apply_after_the_decision() {
    let backend = Backend::start();
    // Long enough for the decision on a busy machine.
    let limit = Duration::from_secs(1);
    let (router, mut questions) = asked_late();
    let proxy = Proxy::with(Config { decision_timeout: Some(limit), ..config() }, router);
    let mut client = proxy.client_with("x").await;
    questions.next().await.answer(Verdict::connect(backend.remote.clone()));
    let mut backend_stream = backend.accept().await;
    tokio::time::sleep(limit + LIMIT).await;
    assert_eq!(read(&mut backend_stream, 1).await, b"x");
    answer(backend_stream, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    questions.assert_none();
    drop(client);
    proxy.finish().await;
}
