//! Half-close: the sender of a FIN may still wait for the other side's answer.

use std::time::Duration;

use proxymachine_engine::{Config, Failure, Verdict};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::*;

async fn end_side(stream: &mut TcpStream) {
    stream.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_client_that_ended_before_the_decision_gets_its_reply() {
    let backend = Backend::start();
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let mut client = proxy.client_with("request").await;
    end_side(&mut client).await;
    questions.next().await.answer(Verdict::connect(backend.remote.clone()));
    let mut backend_stream = backend.accept().await;
    assert_eq!(read_to_end(&mut backend_stream).await, b"request");
    answer(backend_stream, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    proxy.events.ended_as("Relayed").await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_client_that_ended_before_the_decision_gets_the_last_message() {
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let mut client = proxy.client_with("request").await;
    end_side(&mut client).await;
    questions.next().await.answer(Verdict::Close(Some("sorry".into())));
    assert_eq!(read_to_end(&mut client).await, b"sorry");
    proxy.events.ended_as("ClosedByRouter").await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_client_that_ended_during_dialing_gets_its_reply() {
    let (socket, remote) = Backend::refusing();
    let proxy = Proxy::with(Config { connect_retries: 1_000, ..config() }, always(&remote));
    let mut client = proxy.client_with("first ").await;
    proxy.events.retrying(1).await;
    write(&mut client, "second").await;
    end_side(&mut client).await;
    proxy.events.retrying(2).await;
    let mut backend_stream = Backend::listening(socket).accept().await;
    assert_eq!(read_to_end(&mut backend_stream).await, b"first second");
    answer(backend_stream, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    proxy.finish().await;
}

#[tokio::test]
async fn a_client_that_ended_during_the_relay_gets_its_reply() {
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let mut client = proxy.client_with("request").await;
    let mut backend_stream = backend.accept().await;
    assert_eq!(read(&mut backend_stream, 7).await, b"request");
    write(&mut backend_stream, "first ").await;
    assert_eq!(read(&mut client, 6).await, b"first ");
    end_side(&mut client).await;
    assert_eq!(read_to_end(&mut backend_stream).await, b"");
    answer(backend_stream, "second").await;
    assert_eq!(read_to_end(&mut client).await, b"second");
    proxy.events.ended_as("Relayed").await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_backend_that_ended_receives_the_rest_of_the_upload() {
    // The larger upload is spliced.
    for size in [10, 20_000_000] {
        let backend = Backend::start();
        let config = Config { linger: Duration::ZERO, ..config() };
        let proxy = Proxy::with(config, always(&backend.remote));
        let mut client = proxy.client_with("request").await;
        let mut backend_stream = backend.accept().await;
        assert_eq!(read(&mut backend_stream, 7).await, b"request");
        write(&mut backend_stream, "reply").await;
        end_side(&mut backend_stream).await;
        assert_eq!(read_to_end(&mut client).await, b"reply");
        let upload = async {
            send_pattern(&mut client, size).await;
            end_side(&mut client).await;
        };
        let ((), received) = tokio::join!(upload, collect(&mut backend_stream));
        assert_eq!(received, size);
        proxy.events.ended_as("Relayed").await;
        let size = size as u64;
        assert_eq!(proxy.events.connection_record().await, ("--", 7 + size, 5));
        proxy.finish().await;
    }
}

#[tokio::test]
async fn a_backend_that_ended_without_a_byte_receives_the_rest_of_the_upload() {
    for message in ["", "sorry"] {
        let backend = Backend::start();
        let (router, mut questions) = asking();
        let proxy = Proxy::start(router);
        let mut client = proxy.client_with("request").await;
        questions.next().await.answer(Verdict::connect(backend.remote.clone()));
        let mut backend_stream = backend.accept().await;
        assert_eq!(read(&mut backend_stream, 7).await, b"request");
        end_side(&mut backend_stream).await;
        let failed = questions.next().await;
        assert!(matches!(failed.kind, Kind::Failed(Failure::Premature, _)));
        proxy.events.ended_as("ClosedPrematurely").await;
        write(&mut client, "during, ").await;
        failed.answer(Verdict::Close(Some(message.into())));
        assert_eq!(read_to_end(&mut client).await, message.as_bytes());
        write(&mut client, "after").await;
        end_side(&mut client).await;
        assert_eq!(read_to_end(&mut backend_stream).await, b"during, after");
        assert_eq!(proxy.events.connection_record().await, ("SH", 20, message.len() as u64));
        proxy.finish().await;
    }
}

#[tokio::test]
async fn a_backend_that_closed_after_its_answer_resets_a_client_that_sends_more() {
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let mut client = proxy.client_with("request").await;
    let mut backend_stream = backend.accept().await;
    assert_eq!(read(&mut backend_stream, 7).await, b"request");
    write(&mut backend_stream, "reply").await;
    drop(backend_stream);
    assert_eq!(read_to_end(&mut client).await, b"reply");
    within("a reset", async { while client.write_all(b"more").await.is_ok() {} }).await;
    proxy.events.ended_as("Relayed").await;
    assert_eq!(proxy.events.connection_record().await.0, "--");
    proxy.finish().await;
}

#[tokio::test]
async fn inactivity_does_not_count_after_the_backends_end() {
    let backend = Backend::start();
    let remote = backend.remote.clone();
    let limit = Duration::from_millis(50);
    let proxy = Proxy::start(deciding(move |_| route(&remote, |r| r.inactivity_timeout = Some(limit))));
    let mut client = proxy.client_with("request").await;
    let mut backend_stream = backend.accept().await;
    write(&mut backend_stream, "reply").await;
    end_side(&mut backend_stream).await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    tokio::time::sleep(4 * limit).await;
    write(&mut client, " and more").await;
    end_side(&mut client).await;
    assert_eq!(read_to_end(&mut backend_stream).await, b"request and more");
    proxy.finish().await;
}

#[tokio::test]
async fn half_closed_timeout_ends_a_connection_whose_backend_has_ended() {
    let backend = Backend::start();
    let config = Config { half_closed_timeout: Some(Duration::from_millis(50)), ..config() };
    let proxy = Proxy::with(config, always(&backend.remote));
    let mut client = proxy.client_with("request").await;
    let mut backend_stream = backend.accept().await;
    write(&mut backend_stream, "reply").await;
    end_side(&mut backend_stream).await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    assert_eq!(read_to_end(&mut backend_stream).await, b"request");
    assert_eq!(proxy.events.connection_record().await.0, "--");
    proxy.finish().await;
}

#[tokio::test]
async fn a_backend_that_closes_without_a_byte_is_premature() {
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let mut client = proxy.client_with("request").await;
    let mut backend_stream = backend.accept().await;
    assert_eq!(read(&mut backend_stream, 7).await, b"request");
    drop(backend_stream);
    is_over(&mut client).await;
    proxy.events.ended_as("ClosedPrematurely").await;
    drop(client);
    proxy.finish().await;
}

#[tokio::test]
async fn an_empty_answer_to_a_half_closed_client_is_no_failure() {
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let mut client = proxy.client_with("request").await;
    end_side(&mut client).await;
    let mut backend_stream = backend.accept().await;
    assert_eq!(read_to_end(&mut backend_stream).await, b"request");
    drop(backend_stream);
    is_over(&mut client).await;
    proxy.events.ended_as("ClientLeftFirst").await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_refused_connect_for_a_half_closed_client_is_no_failure() {
    let (_socket, remote) = Backend::refusing();
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let mut client = proxy.client_with("request").await;
    end_side(&mut client).await;
    questions.next().await.answer(Verdict::connect(remote));
    is_over(&mut client).await;
    proxy.events.ended_as("ClientLeftFirst").await;
    proxy.events.retrying(2).await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_silent_backend_fails_for_an_open_client() {
    let backend = Backend::start();
    let remote = backend.remote.clone();
    let limit = Duration::from_millis(50);
    let proxy = Proxy::start(deciding(move |_| route(&remote, |r| r.inactivity_timeout = Some(limit))));
    let mut client = proxy.client_with("request").await;
    let _server = backend.accept().await;
    is_over(&mut client).await;
    proxy.events.ended_as("Inactive").await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_silent_backend_is_no_failure_for_a_half_closed_client() {
    let backend = Backend::start();
    let remote = backend.remote.clone();
    let limit = Duration::from_millis(50);
    let proxy = Proxy::start(deciding(move |_| route(&remote, |r| r.inactivity_timeout = Some(limit))));
    let mut client = proxy.client_with("request").await;
    end_side(&mut client).await;
    let mut backend_stream = backend.accept().await;
    assert_eq!(read_to_end(&mut backend_stream).await, b"request");
    is_over(&mut client).await;
    proxy.events.ended_as("ClientLeftFirst").await;
    proxy.finish().await;
}

#[tokio::test]
async fn half_closed_timeout_ends_a_silent_connection() {
    for answered in [false, true] {
        let backend = Backend::start();
        let config = Config { half_closed_timeout: Some(Duration::from_millis(50)), ..config() };
        let proxy = Proxy::with(config, always(&backend.remote));
        let mut client = proxy.client_with("request").await;
        let mut backend_stream = backend.accept().await;
        if answered {
            write(&mut backend_stream, "reply").await;
            assert_eq!(read(&mut client, 5).await, b"reply");
        }
        end_side(&mut client).await;
        assert_eq!(read_to_end(&mut backend_stream).await, b"request");
        is_over(&mut client).await;
        proxy.events.ended_as(if answered { "Relayed" } else { "ClientLeftFirst" }).await;
        proxy.finish().await;
    }
}

#[tokio::test]
async fn half_closed_timeout_does_not_apply_to_open_connections() {
    let backend = Backend::start();
    let config = Config { half_closed_timeout: Some(Duration::from_millis(1)), ..config() };
    let proxy = Proxy::with(config, always(&backend.remote));
    let mut quiet = proxy.client_with("quiet").await;
    let mut quiet_server = backend.accept().await;
    // The half-closed timeout of another connection passes meanwhile.
    let mut other = proxy.client_with("other").await;
    let _other_server = backend.accept().await;
    end_side(&mut other).await;
    is_over(&mut other).await;
    write(&mut quiet_server, "reply").await;
    assert_eq!(read(&mut quiet, 5).await, b"reply");
    drop((quiet, quiet_server));
    proxy.finish().await;
}
