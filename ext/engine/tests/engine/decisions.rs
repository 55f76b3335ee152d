//! Questions to the router, and the effects of its verdicts.

use bytes::Bytes;
use proxymachine_engine::{End, Verdict};
use socket2::SockRef;

use crate::support::*;

#[tokio::test]
async fn each_question_has_all_received_bytes() {
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let mut client = proxy.client_with("one ").await;
    for (expected, next) in [("one ", "two "), ("one two ", "three"), ("one two three", "")] {
        let question = questions.next().await;
        assert_eq!(question.data, expected);
        questions.assert_none();
        match next {
            "" => question.answer(Verdict::Close(None)),
            next => {
                question.answer(Verdict::Wait(None));
                write(&mut client, next).await;
            }
        }
    }
    is_over(&mut client).await;
    proxy.finish().await;
}

#[tokio::test]
async fn bytes_that_arrive_during_a_verdict_are_in_the_next_question() {
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let mut client = proxy.client_with("early").await;
    let first = questions.next().await;
    write(&mut client, " late").await;
    first.answer(Verdict::Wait(None));
    let second = questions.next().await;
    assert_eq!(second.data, "early late");
    second.answer(Verdict::Close(None));
    is_over(&mut client).await;
    proxy.finish().await;
}

/// A read stops before the urgent byte (tcp(7)), although more bytes follow.
#[tokio::test]
async fn bytes_after_urgent_data_are_read() {
    let backend = Backend::start();
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let mut client = proxy.client_with("one").await;
    let first = questions.next().await;
    write(&mut client, " two").await;
    SockRef::from(&client).send_out_of_band(b"!").unwrap();
    write(&mut client, " three").await;
    first.answer(Verdict::Wait(None));
    let mut next = questions.next().await;
    if next.data == "one two" {
        next.answer(Verdict::Wait(None));
        next = questions.next().await;
    }
    assert_eq!(next.data, "one two three");
    next.answer(Verdict::connect(backend.remote.clone()));
    let mut backend_stream = backend.accept().await;
    assert_eq!(read(&mut backend_stream, 13).await, b"one two three");
    write(&mut client, "four").await;
    SockRef::from(&client).send_out_of_band(b"!").unwrap();
    write(&mut client, " five").await;
    assert_eq!(read(&mut backend_stream, 9).await, b"four five");
    drop((client, backend_stream));
    proxy.finish().await;
}

#[tokio::test]
async fn a_router_that_has_decided_is_not_asked_again() {
    let backend = Backend::start();
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let mut client = proxy.client_with("decide").await;
    questions.next().await.answer(Verdict::connect(backend.remote.clone()));
    let mut backend_stream = backend.accept().await;
    write(&mut client, " and more").await;
    assert_eq!(read(&mut backend_stream, 15).await, b"decide and more");
    write(&mut backend_stream, "answer").await;
    assert_eq!(read(&mut client, 6).await, b"answer");
    questions.assert_none();
    drop((client, backend_stream));
    proxy.finish().await;
}

#[tokio::test]
async fn received_bytes_are_replayed_once_and_in_order() {
    let backend = Backend::start();
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let mut client = proxy.client_with("first ").await;
    questions.next().await.answer(Verdict::Wait(None));
    write(&mut client, "second ").await;
    let question = questions.next().await;
    write(&mut client, "third").await;
    question.answer(Verdict::connect(backend.remote.clone()));
    let mut backend_stream = backend.accept().await;
    assert_eq!(read(&mut backend_stream, 18).await, b"first second third");
    answer(backend_stream, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    drop(client);
    proxy.events.ended_as("Relayed").await;
    proxy.finish().await;
}

#[tokio::test]
async fn data_replaces_the_received_bytes_only() {
    let backend = Backend::start();
    for (data, expected) in [("other ", "other later"), ("", "later")] {
        let (router, mut questions) = asking();
        let proxy = Proxy::start(router);
        let mut client = proxy.client_with("received").await;
        let question = questions.next().await;
        write(&mut client, "later").await;
        question.answer(route(&backend.remote, |route| route.data = Some(data.into())));
        let mut backend_stream = backend.accept().await;
        assert_eq!(read(&mut backend_stream, expected.len()).await, expected.as_bytes());
        answer(backend_stream, "reply").await;
        assert_eq!(read_to_end(&mut client).await, b"reply");
        drop(client);
        proxy.finish().await;
    }
}

#[tokio::test]
async fn the_reply_reaches_the_client_before_the_backend_is_connected() {
    let (_socket, remote) = Backend::refusing();
    let config = proxymachine_engine::Config { retry_delay: NEVER, ..config() };
    let router = deciding(move |_| route(&remote, |route| route.reply = Some("granted".into())));
    let proxy = Proxy::with(config, router);
    let mut client = proxy.client_with("x").await;
    assert_eq!(read(&mut client, 7).await, b"granted");
    proxy.events.retrying(1).await;
    reset(client);
    proxy.events.ended_as("ClientLeftFirst").await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_large_reply_arrives_complete_before_the_backends_greeting() {
    const SIZE: usize = 8_000_000;
    let backend = Backend::start();
    let remote = backend.remote.clone();
    let reply = Bytes::from(pattern(0..SIZE));
    let proxy = Proxy::start(deciding(move |_| route(&remote, |route| route.reply = Some(reply.clone()))));
    let mut client = proxy.client_with("x").await;
    let mut backend_stream = backend.accept().await;
    assert_eq!(read(&mut backend_stream, 1).await, b"x");
    write(&mut backend_stream, "greeting").await;
    drop(backend_stream);
    let received = read_to_end(&mut client).await;
    assert_eq!(received.len(), SIZE + 8);
    assert!(received[..SIZE] == pattern(0..SIZE));
    assert_eq!(&received[SIZE..], b"greeting");
    drop(client);
    proxy.finish().await;
}

#[tokio::test]
async fn close_without_a_message_sends_nothing() {
    for message in [None, Some(Bytes::new())] {
        let proxy = Proxy::start(deciding(move |_| Verdict::Close(message.clone())));
        let mut client = proxy.client_with("x").await;
        assert_eq!(read_to_end(&mut client).await, b"");
        proxy.events.ended_as("ClosedByRouter").await;
        proxy.finish().await;
    }
}

#[tokio::test]
async fn a_last_message_arrives_before_the_close() {
    let proxy = Proxy::start(deciding(|_| Verdict::Close(Some(b"go\0away\xff"[..].into()))));
    let mut client = proxy.client_with("x").await;
    assert_eq!(read_to_end(&mut client).await, b"go\0away\xff");
    proxy.events.ended_as("ClosedByRouter").await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_client_that_leaves_without_a_byte_is_not_asked_about() {
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    drop(proxy.client().await);
    proxy.events.ended_as("ClientLeft").await;
    questions.assert_none();
    proxy.finish().await;
}

#[tokio::test]
async fn a_client_that_ends_while_the_router_waits_for_more_is_closed() {
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let mut client = proxy.client_with("not enough").await;
    let question = questions.next().await;
    tokio::io::AsyncWriteExt::shutdown(&mut client).await.unwrap();
    question.answer(Verdict::Wait(None));
    assert_eq!(read_to_end(&mut client).await, b"");
    assert!(matches!(*proxy.events.end().await, End::ClientLeft));
    questions.assert_none();
    proxy.finish().await;
}

#[tokio::test]
async fn a_pending_verdict_does_not_delay_other_clients() {
    let backend = Backend::start();
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let mut waiting = proxy.client_with("?").await;
    let question = questions.next().await;
    let mut client = proxy.client_with("!").await;
    questions.next().await.answer(Verdict::connect(backend.remote.clone()));
    let backend_stream = backend.accept().await;
    answer(backend_stream, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    question.answer(Verdict::Close(None));
    is_over(&mut waiting).await;
    drop(client);
    proxy.finish().await;
}
