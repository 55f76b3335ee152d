//! What a connection may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proxymachine_engine::{Config, End, Verdict};

use crate::support::*;

#[tokio::test]
async fn a_client_that_is_undecided_after_so_many_bytes_is_closed() {
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
async fn a_client_that_sends_more_than_that_is_not_read_further() {
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
async fn a_decision_on_the_last_byte_of_the_limit_counts_and_the_rest_follows() {
    let backend = Backend::start();
    let remote = backend.remote.clone();
    let router = deciding(move |data| match data.len() {
        1000 => Verdict::connect(remote.clone()),
        _ => Verdict::Wait(None),
    });
    let proxy = Proxy::with(Config { max_preread: 1000, ..config() }, router);
    let mut client = proxy.client_with(pattern(0..1500)).await;
    let mut server = backend.accept().await;
    assert!(read(&mut server, 1500).await == pattern(0..1500));
    answer(server, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    proxy.finish().await;
}

#[tokio::test]
async fn a_megabyte_byte_by_byte_and_chunk_by_chunk_is_asked_about_whole() {
    // Each question keeps its data, as a router may.
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
