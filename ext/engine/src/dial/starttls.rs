//! What is exchanged in clear before the TLS handshake with a backend (STARTTLS and its like).

mod reply;

use std::future::poll_fn;
use std::io;
use std::task::{Poll, ready};

use self::reply::{Reply, reply};
use super::tls::write_all;
use crate::Socket;
use crate::net::scratch;
use crate::net::stream::Stream;
use crate::tls::{Exchange, HandshakeError};

/// Upper limit of a reply.
const MAX_REPLY: usize = 16 * 1024;

/// PostgreSQL's request for TLS, which is answered by one byte.
const SSL_REQUEST: &[u8] = b"\0\0\0\x08\x04\xd2\x16\x2f";

/// Makes the exchanges. The message of the first one was sent already.
pub(super) async fn exchange(socket: &Socket, exchanges: &[Exchange]) -> Result<(), HandshakeError> {
    let mut received = Vec::new();
    for (index, Exchange { send, expect }) in exchanges.iter().enumerate() {
        if let Some(message) = send.clone().filter(|_| index > 0) {
            write_all(socket, message).await?;
        }
        loop {
            match reply(&received, expect, send.as_deref() == Some(SSL_REQUEST)) {
                Reply::Complete(len) => {
                    received.drain(..len);
                    break;
                }
                Reply::Incomplete if received.len() < MAX_REPLY => read(socket, &mut received).await?,
                _ => return Err(unexpected(&received, expect)),
            }
        }
    }
    // They would be read as if they had come encrypted.
    if !received.is_empty() {
        let text = format!("the server has sent {} after its last reply in clear", bytes(received.len()));
        return Err(HandshakeError::Reply(text.into()));
    }
    Ok(())
}

async fn read(socket: &Socket, received: &mut Vec<u8>) -> Result<(), HandshakeError> {
    let read = poll_fn(|cx| {
        scratch::with(MAX_REPLY, |scratch| {
            let read = ready!(socket.poll_read(cx, scratch))?;
            received.extend_from_slice(&scratch[..read.count]);
            Poll::Ready(io::Result::Ok(read.count))
        })
    });
    match read.await? {
        0 => Err(HandshakeError::Closed),
        _ => Ok(()),
    }
}

fn unexpected(received: &[u8], expect: &[u8]) -> HandshakeError {
    let begin = &received[..received.len().min(40)];
    let text = format!(
        "the server has answered \"{}\" in clear instead of \"{}\"",
        begin.escape_ascii(),
        expect.escape_ascii()
    );
    HandshakeError::Reply(text.into())
}

fn bytes(count: usize) -> String {
    if count == 1 { "1 byte".into() } else { format!("{count} bytes") }
}
