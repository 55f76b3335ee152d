//! The limit of open connections.

use std::sync::Arc;

use bytes::Bytes;
use proxymachine_engine::{Config, DrainOutcome, Router, Verdict};
use tokio::net::TcpStream;

use crate::support::*;

/// A router that echoes the first bytes and closes.
fn echoing() -> impl Router {
    deciding(|data| Verdict::Close(Some(Bytes::copy_from_slice(data))))
}

fn limited(threads: usize, max_connections: usize) -> Proxy {
    let config = Config { threads, max_connections, undecided_drain: NEVER, ..config() };
    Proxy::on(2, config, echoing(), Recorder::default(), Arc::default())
}

/// Waits until the engine reports the limit.
async fn is_full(proxy: &Proxy, limit: usize) {
    proxy
        .events
        .count(1, "a full engine", |event| matches!(event, Event::LimitReached(l) if *l == limit))
        .await;
}

fn accepted(proxy: &Proxy) -> usize {
    proxy.events.all().iter().filter(|event| event.accepted().is_some()).count()
}

/// Connects two clients that are accepted at different listeners and a third that is not.
async fn two_and_one_more(proxy: &Proxy) -> (TcpStream, TcpStream, TcpStream) {
    let (first, second) = (proxy.client_of(0).await, proxy.client_of(1).await);
    proxy.events.accepted(2).await;
    let third = proxy.client_of(1).await;
    is_full(proxy, 2).await;
    (first, second, third)
}

#[tokio::test]
async fn a_client_above_the_limit_waits_in_the_queue() {
    for threads in [1, 3] {
        let proxy = limited(threads, 2);
        let (first, mut second, mut third) = two_and_one_more(&proxy).await;
        write(&mut third, "third").await;
        assert_eq!(accepted(&proxy), 2, "of {threads} threads");
        write(&mut second, "second").await;
        assert_eq!(read_to_end(&mut second).await, b"second");
        assert_eq!(read_to_end(&mut third).await, b"third");
        drop(first);
        proxy.events.closed(3).await;
        proxy.finish().await;
    }
}

#[tokio::test]
async fn the_limit_is_never_exceeded_and_all_clients_are_served() {
    const LIMIT: usize = 3;
    for threads in [1, 3] {
        let proxy = limited(threads, LIMIT);
        let addresses = proxy.addresses.clone();
        let clients: Vec<_> = (0..40)
            .map(|index| {
                let address = addresses[index % 2];
                tokio::spawn(async move {
                    let mut client = within("a connection", TcpStream::connect(address)).await.unwrap();
                    write(&mut client, "me too").await;
                    assert_eq!(read_to_end(&mut client).await, b"me too");
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        proxy.events.closed(40).await;
        let mut open = 0;
        for event in proxy.events.all() {
            open += usize::from(event.accepted().is_some());
            assert!(open <= LIMIT, "{open} at once");
            open -= usize::from(event.ended().is_some());
        }
        proxy.finish().await;
    }
}

#[tokio::test]
async fn a_drain_does_not_wait_for_queued_clients() {
    for threads in [1, 3] {
        let mut proxy = limited(threads, 2);
        let (mut first, mut second, mut third) = two_and_one_more(&proxy).await;
        proxy.shutdown.drain(None);
        assert_eq!(proxy.join().await, DrainOutcome::Drained);
        for client in [&mut first, &mut second, &mut third] {
            is_over(client).await;
        }
        assert_eq!(accepted(&proxy), 2);
        proxy.check_records();
    }
}

#[tokio::test]
async fn a_client_that_leaves_the_queue_takes_no_permit() {
    for threads in [1, 3] {
        let proxy = limited(threads, 2);
        let (first, second, third) = two_and_one_more(&proxy).await;
        reset(third);
        drop((first, second));
        // The limit is the same: two clients stay and one waits for them.
        proxy.events.closed(2).await;
        for _ in 0..5 {
            let mut pair = [proxy.client_of(0).await, proxy.client_of(1).await];
            for client in &mut pair {
                write(client, "next").await;
            }
            for client in &mut pair {
                assert_eq!(read_to_end(client).await, b"next");
            }
        }
        drop(proxy.client().await);
        proxy.events.count(13, "the ends of all", |event| event.ended().is_some()).await;
        proxy.finish().await;
    }
}

#[tokio::test]
async fn without_a_limit_none_is_reported() {
    let proxy = Proxy::with(Config { max_connections: usize::MAX, ..config() }, echoing());
    for _ in 0..20 {
        let mut client = proxy.client_with("x").await;
        assert_eq!(read_to_end(&mut client).await, b"x");
    }
    assert!(!proxy.events.all().iter().any(|event| matches!(event, Event::LimitReached(_))));
    proxy.finish().await;
}
