//! The limit of bytes before the decision.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proxymachine_engine::{Config, End, Verdict};

use crate::support::*;

#[tokio::test]
async fn an_undecided_client_is_closed_at_the_limit() {
    let most = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&most);
    let router = deciding(move |data| {
        seen.fetch_max(data.len(), Ordering::Relaxed);
        Verdict::Wait(None)
    });
    let proxy = Proxy::with(Config { max_preread: 1000, ..config() }, router);
    let mut client = proxy.client_with(pattern(0..1000)).await;
    is_over(&mut client).await;
    let end = proxy.events.end().await;
    assert!(matches!(*end, End::PrereadFull { limit: 1000 }), "{end:?}");
    assert_eq!(most.load(Ordering::Relaxed), 1000, "the router is asked about every byte");
    proxy.finish().await;
}

#[tokio::test]
async fn bytes_above_the_limit_are_not_read() {
    let (router, mut questions) = asking();
    let proxy = Proxy::with(Config { max_preread: 50_000, ..config() }, router);
    let mut client = proxy.client_with(pattern(0..100_000)).await;
    let mut length = 0;
    while length < 50_000 {
        let question = questions.next().await;
        length = question.data.len();
        assert!(question.data == pattern(0..length), "of {length} bytes");
        question.answer(Verdict::Wait(None));
    }
    assert_eq!(length, 50_000);
    is_over(&mut client).await;
    questions.assert_none();
    proxy.finish().await;
}

#[tokio::test]
async fn a_decision_at_the_limit_counts() {
    let backend = Backend::start();
    let remote = backend.remote.clone();
    let router = deciding(move |data| match data.len() {
        1000 => Verdict::connect(remote.clone()),
        _ => Verdict::Wait(None),
    });
    let proxy = Proxy::with(Config { max_preread: 1000, ..config() }, router);
    let mut client = proxy.client_with(pattern(0..1500)).await;
    let mut backend_stream = backend.accept().await;
    assert!(read(&mut backend_stream, 1500).await == pattern(0..1500));
    answer(backend_stream, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    drop(client);
    proxy.finish().await;
}

#[tokio::test]
async fn a_megabyte_in_chunks_is_asked_about_in_full() {
    // The test keeps the data of each question, as a router may.
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let total = 1024 * 1024;
    let mut client = proxy.client().await;
    let sender = tokio::spawn(async move {
        for at in 0..100 {
            write(&mut client, pattern(at..at + 1)).await;
        }
        write(&mut client, pattern(100..total)).await;
        client
    });
    let mut kept = Vec::new();
    loop {
        let question = questions.next().await;
        kept.push(question.data.clone());
        let done = question.data.len() == total;
        question.answer(Verdict::Wait(None));
        if done {
            break;
        }
    }
    proxy.events.ended_as("PrereadFull").await;
    let whole = pattern(0..total);
    for data in &kept {
        assert!(data[..] == whole[..data.len()]);
    }
    assert!(kept.windows(2).all(|pair| pair[0].len() < pair[1].len()));
    drop(sender.await.unwrap());
    proxy.finish().await;
}
