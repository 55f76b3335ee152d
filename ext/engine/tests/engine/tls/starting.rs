//! TLS that begins at the proxy.

use bytes::Bytes;
use proxymachine_engine::tls::Exchange;
use tokio::io::AsyncWriteExt;

use super::peers::{authorities, serve};
use crate::support::{Backend, Proxy, deciding, read, read_to_end, route, write};

#[tokio::test]
async fn the_backend_gets_encrypted_bytes() {
    let backend = Backend::start();
    let remote = backend.remote.clone();
    let proxy =
        Proxy::start(deciding(move |_| route(&remote, |route| route.tls = Some(authorities(Vec::new())))));
    let mut client = proxy.client_with("request").await;
    let mut server = serve(backend.accept().await).await.unwrap();
    assert_eq!(read(&mut server, 7).await, b"request");
    write(&mut server, "reply").await;
    server.flush().await.unwrap();
    assert_eq!(read(&mut client, 5).await, b"reply");
    client.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut server).await, b"");
    write(&mut server, "more").await;
    server.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut client).await, b"more");
    proxy.finish().await;
}

#[tokio::test]
async fn a_clear_exchange_comes_before_the_handshake() {
    let backend = Backend::start();
    let remote = backend.remote.clone();
    let exchanges = vec![
        Exchange { send: None, expect: Bytes::from("220") },
        Exchange { send: Some(Bytes::from("STARTTLS\r\n")), expect: Bytes::from("220") },
    ];
    let proxy = Proxy::start(deciding(move |_| {
        route(&remote, |route| route.tls = Some(authorities(exchanges.clone())))
    }));
    let mut client = proxy.client_with("request").await;
    let mut server = backend.accept().await;
    write(&mut server, "220 mail.example ESMTP\r\n").await;
    assert_eq!(read(&mut server, 10).await, b"STARTTLS\r\n");
    write(&mut server, "220 ready\r\n").await;
    let mut server = serve(server).await.unwrap();
    assert_eq!(read(&mut server, 7).await, b"request");
    server.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut client).await, b"");
    drop((client, server));
    proxy.finish().await;
}
