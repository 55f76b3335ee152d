//! The idle timeout.

use std::time::Duration;

use proxymachine_engine::{Config, End, Verdict};

use crate::support::*;

fn idle_after(limit: Duration) -> Config {
    Config { idle_timeout: Some(limit), ..config() }
}

#[tokio::test]
async fn a_silent_connection_is_closed_answered_or_not() {
    const LIMIT: Duration = Duration::from_millis(50);
    for is_answered in [false, true] {
        let backend = Backend::start();
        let (router, mut questions) = asking();
        let proxy = Proxy::with(idle_after(LIMIT), router);
        let mut client = proxy.client_with("x").await;
        questions.next().await.answer(Verdict::connect(backend.remote.clone()));
        let mut backend_stream = backend.accept().await;
        if is_answered {
            write(&mut backend_stream, "y").await;
            assert_eq!(read(&mut client, 1).await, b"y");
        }
        is_over(&mut client).await;
        let end = proxy.events.end().await;
        assert!(matches!(&*end, End::Idle { remote, limit: LIMIT } if *remote == backend.remote), "{end:?}");
        // The timeout is not reported as a failure of the backend.
        questions.assert_none();
        proxy.finish().await;
    }
}

#[tokio::test]
async fn a_shorter_inactivity_timeout_applies_first() {
    let backend = Backend::start();
    let remote = backend.remote.clone();
    let limit = Duration::from_millis(30);
    let router = deciding(move |_| route(&remote, |route| route.inactivity_timeout = Some(limit)));
    let proxy = Proxy::with(idle_after(NEVER), router);
    let mut client = proxy.client_with("x").await;
    is_over(&mut client).await;
    proxy.events.ended_as("Inactive").await;
    proxy.finish().await;
}
