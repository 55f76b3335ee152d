//! A FIN is no departure: who has ended its side may still be waiting for the other's answer.

use std::time::Duration;

use proxymachine_engine::{Config, Verdict};
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
    let mut server = backend.accept().await;
    assert_eq!(read_to_end(&mut server).await, b"request");
    answer(server, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    proxy.events.ended_as("Relayed").await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_client_that_ended_before_the_decision_gets_the_last_words() {
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let mut client = proxy.client_with("request").await;
    end_side(&mut client).await;
    questions.next().await.answer(Verdict::Close(Some("sorry".into())));
    assert_eq!(read_to_end(&mut client).await, b"sorry");
    proxy.events.ended_as("Refused").await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_client_that_ended_while_it_was_dialed_gets_its_reply() {
    let (socket, remote) = Backend::refusing();
    let proxy = Proxy::with(Config { connect_retries: 1_000, ..config() }, always(&remote));
    let mut client = proxy.client_with("first ").await;
    proxy.events.retrying(1).await;
    write(&mut client, "second").await;
    end_side(&mut client).await;
    proxy.events.retrying(2).await;
    let mut server = Backend::listening(socket).accept().await;
    assert_eq!(read_to_end(&mut server).await, b"first second");
    answer(server, "reply").await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    proxy.finish().await;
}

#[tokio::test]
async fn a_client_that_ended_while_it_was_relayed_gets_its_reply() {
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let mut client = proxy.client_with("request").await;
    let mut server = backend.accept().await;
    assert_eq!(read(&mut server, 7).await, b"request");
    write(&mut server, "first ").await;
    assert_eq!(read(&mut client, 6).await, b"first ");
    end_side(&mut client).await;
    assert_eq!(read_to_end(&mut server).await, b"");
    answer(server, "second").await;
    assert_eq!(read_to_end(&mut client).await, b"second");
    proxy.events.ended_as("Relayed").await;
    proxy.finish().await;
}

#[tokio::test]
async fn the_backends_end_is_the_end_for_a_client_that_has_not_ended() {
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let mut client = proxy.client_with("request").await;
    let mut server = backend.accept().await;
    assert_eq!(read(&mut server, 7).await, b"request");
    write(&mut server, "reply").await;
    end_side(&mut server).await;
    assert_eq!(read_to_end(&mut client).await, b"reply");
    is_over(&mut server).await;
    proxy.events.ended_as("Relayed").await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_backend_that_closes_without_a_byte_is_premature() {
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let mut client = proxy.client_with("request").await;
    let mut server = backend.accept().await;
    assert_eq!(read(&mut server, 7).await, b"request");
    drop(server);
    is_over(&mut client).await;
    proxy.events.ended_as("ClosedPrematurely").await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_backend_may_close_without_a_byte_once_the_client_has_ended() {
    let backend = Backend::start();
    let proxy = Proxy::start(always(&backend.remote));
    let mut client = proxy.client_with("request").await;
    end_side(&mut client).await;
    let mut server = backend.accept().await;
    assert_eq!(read_to_end(&mut server).await, b"request");
    drop(server);
    is_over(&mut client).await;
    proxy.events.ended_as("ClientLeftFirst").await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_refusing_backend_is_nobodys_error_once_the_client_has_ended() {
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
async fn a_silent_backend_is_an_error_for_a_client_that_has_not_ended() {
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
async fn a_silent_backend_is_nobodys_error_once_the_client_has_ended() {
    let backend = Backend::start();
    let remote = backend.remote.clone();
    let limit = Duration::from_millis(50);
    let proxy = Proxy::start(deciding(move |_| route(&remote, |r| r.inactivity_timeout = Some(limit))));
    let mut client = proxy.client_with("request").await;
    end_side(&mut client).await;
    let mut server = backend.accept().await;
    assert_eq!(read_to_end(&mut server).await, b"request");
    is_over(&mut client).await;
    proxy.events.ended_as("ClientLeftFirst").await;
    proxy.finish().await;
}

#[tokio::test]
async fn a_half_closed_connection_ends_when_nothing_moves_any_more() {
    for answered in [false, true] {
        let backend = Backend::start();
        let config = Config { half_closed_timeout: Some(Duration::from_millis(50)), ..config() };
        let proxy = Proxy::with(config, always(&backend.remote));
        let mut client = proxy.client_with("request").await;
        let mut server = backend.accept().await;
        if answered {
            write(&mut server, "reply").await;
            assert_eq!(read(&mut client, 5).await, b"reply");
        }
        end_side(&mut client).await;
        assert_eq!(read_to_end(&mut server).await, b"request");
        is_over(&mut client).await;
        proxy.events.ended_as(if answered { "Relayed" } else { "ClientLeftFirst" }).await;
        proxy.finish().await;
    }
}

#[tokio::test]
async fn a_connection_on_which_nothing_moves_stays_while_neither_side_has_ended() {
    let backend = Backend::start();
    let config = Config { half_closed_timeout: Some(Duration::from_millis(1)), ..config() };
    let proxy = Proxy::with(config, always(&backend.remote));
    let mut quiet = proxy.client_with("quiet").await;
    let mut quiet_server = backend.accept().await;
    // Another connection's half-closed timeout passes meanwhile.
    let mut other = proxy.client_with("other").await;
    let _other_server = backend.accept().await;
    end_side(&mut other).await;
    is_over(&mut other).await;
    write(&mut quiet_server, "reply").await;
    assert_eq!(read(&mut quiet, 5).await, b"reply");
    drop((quiet, quiet_server));
    proxy.finish().await;
}
