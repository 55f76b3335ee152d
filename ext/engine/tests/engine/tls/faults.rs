//! Clients and backends that misbehave in a TLS handshake or after it.

use std::time::Duration;

use bytes::Bytes;
use proxymachine_engine::tls::{Exchange, HandshakeError};
use proxymachine_engine::{Config, End, Remote, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::ending::{listening, listening_with, terminating};
use super::peers::{NAME, authorities, certificates, connect, serve};
use crate::support::{
    Backend, Event, Proxy, asking, config, deciding, is_reset, read, read_to_end, reset, route, within, write,
};

/// Records what a client sends for a handshake.
async fn client_hello() -> Vec<u8> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = tokio::spawn(async move {
        let stream = TcpStream::connect(address).await.unwrap();
        let _ = super::peers::connect_with(stream, super::peers::any_client_config()).await;
    });
    let (mut stream, _) = listener.accept().await.unwrap();
    let head = read(&mut stream, 5).await;
    let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
    let hello = [head, read(&mut stream, length).await].concat();
    drop(stream);
    client.await.unwrap();
    hello
}

async fn handshake_error(proxy: &Proxy) -> HandshakeError {
    let end = proxy.events.wait_for("an end", |events| events.iter().find_map(Event::ended)).await.1;
    match &*end {
        End::TlsFailed { error } => error.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_handshake_is_a_failed_handshake() {
    let hello = client_hello().await;
    for length in [0, 1, 5, 6, 100, hello.len() - 1, hello.len()] {
        for is_reset in [false, true] {
            let proxy = listening(deciding(|_| Verdict::Close(None)));
            let mut client = proxy.client_with(&hello[..length]).await;
            if length == hello.len() {
                read(&mut client, 1).await; // The server's flight has come.
            }
            if is_reset {
                reset(client)
            } else {
                drop(client)
            }
            let error = handshake_error(&proxy).await;
            assert!(
                matches!(error, HandshakeError::Closed | HandshakeError::Socket(..)),
                "{length} {is_reset}: {error:?}"
            );
            proxy.events.closed(1).await;
            assert!(proxy.events.all().iter().any(|event| matches!(event, Event::Recorded("CT", 0, 0))));
            proxy.finish().await;
        }
    }
}

#[tokio::test]
async fn a_handshake_may_come_byte_by_byte() {
    let backend = Backend::start();
    let proxy = listening(terminating(&backend));
    let (mut outer, inner) = tokio::io::duplex(1);
    let client = tokio::spawn(super::peers::connect_over(inner));
    let mut stream = proxy.client().await;
    stream.set_nodelay(true).unwrap();
    let relayed = tokio::spawn(async move {
        let _ = tokio::io::copy_bidirectional_with_sizes(&mut outer, &mut stream, 1, 1).await;
    });
    let mut client = client.await.unwrap();
    write(&mut client, "x").await;
    client.flush().await.unwrap();
    let mut server = backend.accept().await;
    assert_eq!(read(&mut server, 1).await, b"x");
    drop((client, server));
    within("the end", relayed).await.unwrap();
    proxy.finish().await;
}

#[tokio::test]
async fn a_silent_client_has_the_time_of_the_setting() {
    let hello = client_hello().await;
    for sent in [&hello[..0], &hello[..50], &hello] {
        let limit = Some(Duration::from_millis(50));
        let config = Config { tls_handshake_timeout: limit, ..config() };
        let proxy = listening_with(config, deciding(|_| Verdict::Close(None)));
        let mut client = proxy.client_with(sent).await;
        read_to_end(&mut client).await;
        assert!(matches!(handshake_error(&proxy).await, HandshakeError::Timeout(_)));
        drop(client);
        proxy.events.closed(1).await;
        assert!(proxy.events.all().iter().any(|event| matches!(event, Event::Recorded("cT", ..))));
        proxy.finish().await;
    }
}

#[tokio::test]
async fn the_decision_timeout_includes_the_handshake() {
    let limit = Some(Duration::from_millis(50));
    let config = Config { decision_timeout: limit, ..config() };
    let proxy = listening_with(config, deciding(|_| Verdict::Close(None)));
    let mut client = proxy.client_with(&client_hello().await[..50]).await;
    assert_eq!(read_to_end(&mut client).await, b"");
    let end = proxy.events.wait_for("an end", |events| events.iter().find_map(Event::ended)).await.1;
    assert!(matches!(&*end, End::DecisionTimeout { is_silent: false, .. }), "{end:?}");
    drop(client);
    proxy.finish().await;
}

#[tokio::test]
async fn a_huge_hello_is_refused_early() {
    let proxy = listening(deciding(|_| Verdict::Close(None)));
    let client = proxy.client().await;
    let (mut reader, mut writer) = client.into_split();
    let sender = tokio::spawn(async move {
        // A ClientHello of 16 MB, in full records. After the alert they are discarded.
        let mut first = true;
        for _ in 0..1024 {
            let mut record = vec![0x16, 3, 1, 0x40, 0];
            record.extend([0; 16_384]);
            if std::mem::take(&mut first) {
                record[5..9].copy_from_slice(&[1, 0xff, 0xff, 0xff]);
            }
            if writer.write_all(&record).await.is_err() {
                return;
            }
        }
    });
    let error = handshake_error(&proxy).await;
    assert!(matches!(error, HandshakeError::Tls(_)), "{error:?}");
    let mut alert = Vec::new();
    let _ = within("the end", reader.read_to_end(&mut alert)).await;
    assert_eq!(alert.first(), Some(&0x15));
    drop(reader);
    within("the sender", sender).await.unwrap();
    proxy.finish().await;
}

#[tokio::test]
async fn a_reset_is_passed_on_without_a_close_notify() {
    let backend = Backend::start();
    let proxy = listening(terminating(&backend));
    // The client resets.
    let mut client = connect(proxy.client().await).await;
    write(&mut client, "request").await;
    let mut server = backend.accept().await;
    read(&mut server, 7).await;
    write(&mut server, "reply").await;
    read(&mut client, 5).await;
    reset(client.into_inner().0);
    is_reset(&mut server).await;
    // The backend resets.
    let mut client = connect(proxy.client().await).await;
    write(&mut client, "request").await;
    let mut server = backend.accept().await;
    read(&mut server, 7).await;
    write(&mut server, "half").await;
    read(&mut client, 4).await;
    reset(server);
    let error = within("the reset", client.read(&mut [0; 10])).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    drop(client);
    proxy.finish().await;
}

#[tokio::test]
async fn a_fin_without_close_notify_is_an_end() {
    let backend = Backend::start();
    let proxy = listening(terminating(&backend));
    let mut client = connect(proxy.client().await).await;
    write(&mut client, "request").await;
    let mut server = backend.accept().await;
    read(&mut server, 7).await;
    client.get_mut().0.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut server).await, b"");
    write(&mut server, "reply").await;
    drop(server);
    assert_eq!(read_to_end(&mut client).await, b"reply");
    drop(client);
    proxy.finish().await;
}

/// Returns a router to TLS backends.
fn encrypting(remotes: Vec<Remote>, exchanges: Vec<Exchange>) -> impl proxymachine_engine::Router {
    deciding(move |_| {
        route(&remotes[0], |route| {
            route.others = remotes[1..].iter().cloned().map(Into::into).collect();
            route.tls = Some(authorities(exchanges.clone()));
            route.connect_timeout = Some(Duration::from_millis(500));
        })
    })
}

/// After two seconds without traffic the sockets are parked.
#[tokio::test]
async fn an_idle_backend_gets_a_close_notify() {
    let backend = Backend::start();
    let idle = Config { idle_timeout: Some(Duration::from_secs(2)), ..config() };
    let proxy = Proxy::with(idle, encrypting(vec![backend.remote.clone()], Vec::new()));
    let mut client = proxy.client_with("request").await;
    let mut server = serve(backend.accept().await).await.unwrap();
    assert_eq!(read(&mut server, 7).await, b"request");
    write(&mut server, "reply").await;
    assert_eq!(read(&mut client, 5).await, b"reply");
    assert_eq!(read_to_end(&mut server).await, b"", "an end without close_notify is an error");
    proxy.events.ended_as("Idle").await;
    proxy.finish().await;
}

#[tokio::test]
async fn the_next_backend_is_tried_at_once_if_a_handshake_fails() {
    let (wrong, right) = (Backend::start(), Backend::start());
    let proxy = Proxy::start(encrypting(vec![wrong.remote.clone(), right.remote.clone()], Vec::new()));
    let mut client = proxy.client_with("request").await;
    // A server without TLS.
    let mut server = wrong.accept().await;
    write(&mut server, "220 mail.example ESMTP\r\n").await;
    let mut server = serve(right.accept().await).await.unwrap();
    assert_eq!(read(&mut server, 7).await, b"request");
    server.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut client).await, b"");
    drop((client, server));
    proxy.finish().await;
}

#[tokio::test]
async fn a_backend_with_a_wrong_certificate_is_not_tried_again() {
    let backend = Backend::start();
    let remote = backend.remote.clone();
    let proxy = Proxy::start(deciding(move |_| {
        route(&remote, |route| {
            let other = format!("other.{NAME}").try_into().unwrap();
            route.tls = Some(authorities(Vec::new()).with_name(other));
        })
    }));
    let mut client = proxy.client_with("request").await;
    assert!(serve(backend.accept().await).await.is_err());
    assert_eq!(read_to_end(&mut client).await, b"");
    assert!(!proxy.events.all().iter().any(|event| matches!(event, Event::Retrying(..))));
    drop(client);
    proxy.finish().await;
}

#[tokio::test]
async fn a_silent_backend_has_the_time_of_the_connect() {
    let backend = Backend::start();
    let proxy = Proxy::start(encrypting(vec![backend.remote.clone()], Vec::new()));
    let mut client = proxy.client_with("request").await;
    let _silent = (backend.accept().await, backend.accept().await);
    assert_eq!(read_to_end(&mut client).await, b"");
    drop(client);
    proxy.finish().await;
}

#[tokio::test]
async fn bytes_after_the_last_clear_reply_fail_the_attempt() {
    let backend = Backend::start();
    let request = Bytes::from_static(b"\0\0\0\x08\x04\xd2\x16\x2f");
    let exchanges = vec![Exchange { send: Some(request), expect: Bytes::from("S") }];
    let proxy = Proxy::start(encrypting(vec![backend.remote.clone()], exchanges));
    let client = proxy.client_with("request").await;
    let mut server = backend.accept().await;
    read(&mut server, 8).await;
    write(&mut server, "Sinjected").await;
    // The next attempt.
    let mut server = backend.accept().await;
    read(&mut server, 8).await;
    write(&mut server, "S").await;
    let mut server = serve(server).await.unwrap();
    assert_eq!(read(&mut server, 7).await, b"request");
    drop((client, server));
    proxy.finish().await;
}

#[tokio::test]
async fn tls_ends_once() {
    let (router, mut questions) = asking();
    let proxy = listening(router);
    let mut client = connect(proxy.client().await).await;
    write(&mut client, "hello").await;
    let again = proxymachine_engine::StartTls::new(certificates());
    questions.next().await.answer(Verdict::Tls(Box::new(again)));
    assert_eq!(read_to_end(&mut client).await, b"");
    let end = proxy.events.wait_for("an end", |events| events.iter().find_map(Event::ended)).await.1;
    assert!(matches!(&*end, End::RouterFailed { .. }), "{end:?}");
    drop(client);
    proxy.finish().await;
}

#[tokio::test]
async fn a_drain_waits_for_an_encrypted_connection() {
    let backend = Backend::start();
    let mut proxy = listening(terminating(&backend));
    let mut client = connect(proxy.client().await).await;
    write(&mut client, "request").await;
    let mut server = backend.accept().await;
    read(&mut server, 7).await;
    let silent = proxy.client().await;
    proxy.events.accepted(2).await;
    proxy.shutdown.drain(None);
    let mut silent = silent;
    assert_eq!(read_to_end(&mut silent).await, b"", "a client that has sent nothing is closed");
    write(&mut server, "reply").await;
    assert_eq!(read(&mut client, 5).await, b"reply");
    drop((client, server));
    proxy.join().await;
}
