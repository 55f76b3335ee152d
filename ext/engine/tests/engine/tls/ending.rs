//! TLS that ends at the proxy.

use std::future::ready;

use bytes::Bytes;
use proxymachine_engine::tls::HandshakeError;
use proxymachine_engine::tls::rustls::version::{TLS12, TLS13};
use proxymachine_engine::{Client, Config, End, Listener, Router, StartTls, Verdict};
use tokio::io::AsyncWriteExt;

use super::peers::{IDENTITY, certificates, client_config, connect, connect_with};
use crate::support::{Backend, Event, Proxy, Recorder, asking, config, read, read_to_end, within, write};

/// Ends TLS, and then connects to the backend.
pub fn terminating(backend: &Backend) -> impl Router {
    let remote = backend.remote.clone();
    move |client: &Client, _: Bytes| {
        ready(match client.tls() {
            None => Verdict::Tls(Box::new(StartTls::new(certificates()))),
            Some(_) => Verdict::connect(remote.clone()),
        })
    }
}

/// Starts a proxy whose connections begin with a handshake.
pub fn listening(router: impl Router) -> Proxy {
    listening_with(config(), router)
}

pub fn listening_with(config: Config, router: impl Router) -> Proxy {
    let options =
        proxymachine_engine::listener::Options { certificates: Some(certificates()), ..Default::default() };
    let listeners = Listener::bind("127.0.0.1:0", &options).unwrap();
    Proxy::listening(listeners, config, router, Recorder::default(), Default::default())
}

#[tokio::test]
async fn the_backend_gets_what_the_client_sent_encrypted() {
    let backend = Backend::start();
    let proxy = Proxy::start(terminating(&backend));
    for version in [&TLS12, &TLS13] {
        let config = client_config(&IDENTITY, &[version]);
        let mut client = connect_with(proxy.client().await, config).await.unwrap();
        write(&mut client, "request").await;
        let mut server = backend.accept().await;
        assert_eq!(read(&mut server, 7).await, b"request");
        write(&mut server, "reply").await;
        assert_eq!(read(&mut client, 5).await, b"reply");
        // Half-close in both directions.
        client.shutdown().await.unwrap();
        assert_eq!(read_to_end(&mut server).await, b"");
        write(&mut server, "more").await;
        drop(server);
        assert_eq!(read_to_end(&mut client).await, b"more");
    }
    proxy.finish().await;
}

#[tokio::test]
async fn the_router_knows_what_was_negotiated() {
    let (router, mut questions) = asking();
    let proxy = listening(router);
    let mut client = connect(proxy.client().await).await;
    write(&mut client, "hello").await;
    let question = questions.next().await;
    assert_eq!(question.data, "hello");
    question.answer(Verdict::Close(Some(Bytes::from("goodbye"))));
    assert_eq!(read_to_end(&mut client).await, b"goodbye");
    proxy.finish().await;
}

#[tokio::test]
async fn a_clear_reply_comes_before_the_handshake() {
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let mut client = proxy.client_with("STARTTLS\r\n").await;
    let start = StartTls { reply: Some(Bytes::from("220 go\r\n")), ..StartTls::new(certificates()) };
    questions.next().await.answer(Verdict::Tls(Box::new(start)));
    assert_eq!(read(&mut client, 8).await, b"220 go\r\n");
    let mut client = connect(client).await;
    write(&mut client, "EHLO").await;
    let question = questions.next().await;
    assert_eq!(question.data, "EHLO");
    question.answer(Verdict::Close(None));
    assert_eq!(read_to_end(&mut client).await, b"");
    proxy.finish().await;
}

#[tokio::test]
async fn clear_bytes_before_the_reply_close_the_connection() {
    let (router, mut questions) = asking();
    let proxy = Proxy::start(router);
    let mut client = proxy.client_with("STARTTLS\r\n").await;
    let question = questions.next().await;
    write(&mut client, "injected\r\n").await;
    // The bytes have come when the acknowledgement has.
    let start = StartTls { reply: Some(Bytes::from("220 go\r\n")), ..StartTls::new(certificates()) };
    question.answer(Verdict::Tls(Box::new(start)));
    let _ = within("the end", tokio::io::AsyncReadExt::read(&mut client, &mut [0; 10])).await;
    let ended = proxy.events.wait_for("an end", |events| events.iter().find_map(Event::ended)).await;
    assert!(matches!(&*ended.1, End::ClearBeforeTls { count: 10 }), "{ended:?}");
    drop(client);
    proxy.finish().await;
}

#[tokio::test]
async fn what_is_no_tls_is_refused_with_an_alert() {
    let backend = Backend::start();
    let proxy = listening(terminating(&backend));
    let mut client = proxy.client_with("GET / HTTP/1.1\r\n\r\n").await;
    let alert = read_to_end(&mut client).await;
    assert_eq!(alert[0], 0x15, "{alert:?}");
    let ended = proxy.events.wait_for("an end", |events| events.iter().find_map(Event::ended)).await;
    assert!(matches!(&*ended.1, End::TlsFailed { error: HandshakeError::NoTls }), "{ended:?}");
    drop(client);
    proxy.finish().await;
}
