//! What clients have sent that get no backend, as the observer is told.

use std::sync::Arc;
use std::time::Duration;

use proxymachine_engine::router::verdict::RouterFault;
use proxymachine_engine::{Config, Router, Verdict};

use crate::support::*;

fn start(config: Config, router: impl Router) -> Proxy {
    Proxy::on(1, config, router, Recorder::keeping_first_bytes(), Arc::default())
}

/// Returns the beginning of the reason, and the bytes, once they are known.
async fn not_served(proxy: &Proxy) -> (String, Vec<u8>) {
    let find = |event: &Event| match event {
        Event::NotServed(end, bytes) => Some((end.clone(), bytes.clone())),
        _ => None,
    };
    proxy.events.wait_for("the first bytes", |events| events.iter().find_map(find)).await
}

#[tokio::test]
async fn a_client_that_leaves_undecided() {
    let proxy = start(config(), deciding(|_| Verdict::Wait(None)));
    drop(proxy.client_with("half").await);
    assert_eq!(not_served(&proxy).await, ("ClientLeft".into(), b"half".to_vec()));
    proxy.finish().await;
}

#[tokio::test]
async fn a_router_that_fails() {
    let proxy = start(config(), deciding(|_| Verdict::Fault(RouterFault::Raised)));
    let mut client = proxy.client_with("hello").await;
    is_over(&mut client).await;
    assert_eq!(not_served(&proxy).await, ("RouterFailed { fault: Raised }".into(), b"hello".to_vec()));
    proxy.finish().await;
}

#[tokio::test]
async fn a_backend_that_refuses_whether_it_gets_these_bytes_or_others() {
    let (_socket, remote) = Backend::refusing();
    for data in [None, Some("other".into())] {
        let remote = remote.clone();
        let decide = move |_: &[u8]| route(&remote, |route| route.data = data.clone());
        let proxy = start(config(), deciding(decide));
        let mut client = proxy.client_with("hello").await;
        is_over(&mut client).await;
        assert_eq!(not_served(&proxy).await, ("ConnectFailed".into(), b"hello".to_vec()));
        proxy.finish().await;
    }
}

#[tokio::test]
async fn bytes_that_arrived_after_a_decision_before_the_first_byte() {
    let (_socket, remote) = Backend::refusing();
    let (router, mut questions) = asked_early();
    let proxy = start(config(), router);
    let mut client = proxy.client_with("hello").await;
    let question = questions.next().await;
    question.answer(route(&remote, |route| route.retry_delay = Some(Duration::from_millis(50))));
    questions.next().await.answer(Verdict::Close(None));
    is_over(&mut client).await;
    assert_eq!(not_served(&proxy).await, ("ConnectFailed".into(), b"hello".to_vec()));
    proxy.finish().await;
}

#[tokio::test]
async fn nothing_is_told_of_a_served_client() {
    let backend = Backend::start();
    let proxy = start(config(), always(&backend.remote));
    let mut client = proxy.client_with("hello").await;
    answer(backend.accept().await, "yes").await;
    assert_eq!(read_to_end(&mut client).await, b"yes");
    drop(client);
    proxy.events.closed(1).await;
    assert!(!proxy.events.all().iter().any(|event| matches!(event, Event::NotServed(..))));
    proxy.finish().await;
}

#[tokio::test]
async fn nothing_is_told_to_an_observer_that_does_not_ask() {
    let proxy = Proxy::start(deciding(|_| Verdict::Wait(None)));
    drop(proxy.client_with("half").await);
    proxy.events.closed(1).await;
    assert!(!proxy.events.all().iter().any(|event| matches!(event, Event::NotServed(..))));
    proxy.finish().await;
}
